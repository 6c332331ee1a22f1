"""Figures and texts that show a forecaster's strengths and mistakes."""

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .plots import ACCENT, MUTED, STYLE, comparison, save
from .scores import wape

if TYPE_CHECKING:
    from .evaluate import Test

ROWS = "rows"  # what the splits hold
METRIC = "WAPE {:.3f}%"  # what decides, as people write it
CAPTIONS = {
    "comparison.png": "WAPE against the baselines, lower is better; the line is the 95% interval",
    "fans.png": "Forecasts of the best, a middling and the worst week of the test block",
    "lead_time.png": "How the error grows with lead time, beside the baselines",
    "coverage.png": "How much the intervals cover at each lead time",
    "slices.png": "The error by hour, weekday and holiday",
}
MORE = ": each baseline, lead time, hour, weekday and holiday"
LINES = ("-", "--", ":", "-.")
WEEK = np.timedelta64(7, "D").astype("timedelta64[s]")


def draw(
    metrics: dict[str, Any], test: "Test", quantiles: np.ndarray, rivals: dict[str, np.ndarray]
) -> None:
    """Draw each figure of `CAPTIONS`; quantiles are (windows, horizon, levels)."""
    comparison(metrics, "wape", "comparison.png", lower_is_better=True)
    slices = metrics["slices"]
    with plt.rc_context(STYLE):
        weeks = rank_weeks(test, quantiles)
        figure, panels = plt.subplots(len(weeks), 1, figsize=(9, 2.6 * len(weeks)), squeeze=False)
        for axes, (name, rows) in zip(panels[:, 0], weeks.items(), strict=True):
            draw_fans(axes, test, quantiles, rows)
            error = wape(test.y[rows], quantiles[rows, :, 2])
            axes.set_title(f"{name} week, WAPE {error:.1f}%")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", ncols=4, frameon=False)
        figure.tight_layout()
        save(figure, "fans.png")

        figure, axes = plt.subplots(figsize=(7.5, 4))
        leads = slices["lead"]
        styles = iter(LINES * len(rivals))
        for name in ("this model", *rivals):
            is_ours = name == "this model"
            line = {"color": ACCENT, "linewidth": 2} if is_ours else {"color": "#66707a"}
            axes.plot(
                [int(lead) for lead in leads],
                [row["wape"][name] for row in leads.values()],
                linestyle="-" if is_ours else next(styles),
                label=name,
                **line,
            )
        axes.set(xlabel="lead time, steps", ylabel="WAPE, %", ylim=(0, None))
        axes.set_title("Error by lead time")
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        save(figure, "lead_time.png")

        figure, axes = plt.subplots(figsize=(7.5, 4))
        for level, color in ((80, ACCENT), (95, "black")):
            shares = [100 * row[f"coverage_{level}"] for row in leads.values()]
            axes.plot(
                [int(lead) for lead in leads], shares, color=color, label=f"{level}% interval"
            )
            axes.axhline(level, color=color, linewidth=1, linestyle=":")
        axes.set(xlabel="lead time, steps", ylabel="values inside, %", ylim=(50, 100))
        axes.set_title("Coverage by lead time")
        axes.legend(frameon=False, loc="lower left")
        save(figure, "coverage.png")

        shown = [kind for kind in ("hour", "weekday", "holiday") if kind in slices]
        figure, panels = plt.subplots(
            1,
            max(1, len(shown)),
            figsize=(3.6 * max(1, len(shown)), 3.4),
            sharey=True,
            squeeze=False,
        )
        best = metrics["versus_best_baseline"]["baseline"]
        for axes, kind in zip(panels[0], shown, strict=False):
            places = np.arange(len(slices[kind]))
            for name, color, side in (("this model", ACCENT, -0.2), (best, MUTED, 0.2)):
                values = [row["wape"][name] for row in slices[kind].values()]
                axes.bar(places + side, values, 0.4, color=color, label=name)
            names = list(slices[kind])
            every = 1 if len(names) <= 8 else 3
            axes.set_xticks(
                places[::every],
                [name[:3] if kind == "weekday" else name for name in names][::every],
            )
            axes.set_title(f"By {kind}")
        panels[0, 0].set_ylabel("WAPE, %")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="upper center", ncols=2, frameon=False, bbox_to_anchor=(0.5, 1.1)
        )
        save(figure, "slices.png")


def rank_weeks(test: "Test", quantiles: np.ndarray) -> dict[str, np.ndarray]:
    """Return the windows of the best, the median and the worst week of one series each."""
    first = test.moments[:, 0]
    week = ((first - first.min()) // WEEK).astype(int)
    groups: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(test.which.tolist(), week.tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    full = max(map(len, groups.values()))
    whole = [np.array(rows) for rows in groups.values() if 2 * len(rows) > full]
    ranked = sorted(whole, key=lambda rows: wape(test.y[rows], quantiles[rows, :, 2]))
    return {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}


def draw_fans(axes: Axes, test: "Test", quantiles: np.ndarray, rows: np.ndarray) -> None:
    """Draw what came, and the forecasts of windows that do not overlap."""
    span = test.moments[0, -1] - test.moments[0, 0]
    end, is_first = None, True
    for row in rows:
        moments = test.moments[row]
        if end is not None and moments[0] <= end:
            continue
        end = moments[0] + span
        lowest, low, middle, high, highest = quantiles[row].T
        label = ("95% interval", "80% interval", "forecast") if is_first else (None, None, None)
        axes.fill_between(
            moments, lowest, highest, color=ACCENT, alpha=0.15, linewidth=0, label=label[0]
        )
        axes.fill_between(moments, low, high, color=ACCENT, alpha=0.3, linewidth=0, label=label[1])
        axes.plot(moments, middle, color=ACCENT, label=label[2])
        axes.axvline(moments[0], color=MUTED, linewidth=0.8)
        axes.plot(
            moments, test.y[row], color="black", linewidth=1, label="came" if is_first else None
        )
        is_first = False
    axes.tick_params(axis="x", labelsize=8)


def highlights(metrics: dict[str, Any]) -> str:
    """Return what the README says of the results beyond the comparison."""
    model, known = metrics["model"], metrics["foreknowledge"]
    windows = metrics["windows"]
    lines = [
        f"{windows['n_windows']:,} forecasts of the test block, {windows['step_size']} steps "
        "from one to the next, without fitting anew. The 80% interval covers "
        f"{model['coverage_80']:.1%} of the values and the 95% interval {model['coverage_95']:.1%}."
    ]
    if known:
        lines.append(
            "Covariates are served with their past values only. As an upper bound, perfect "
            "foreknowledge of them brings the boosted trees' WAPE from "
            f"{known['past_only']:.2f} to {known['perfect']:.2f}."
        )
    return " ".join(lines)


def model_card_sections(metrics: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """Return what the model card says beyond the comparison: each baseline, slices, training."""
    lines = ["| against | WAPE lower by | 95% interval | Diebold-Mariano p |", "|---|---|---|---|"]
    for name, row in metrics["versus"].items():
        low, high = row["interval_95"]
        lines.append(
            f"| {name} | {row['difference']:.3f} | {low:.3f} to {high:.3f} | "
            f"{row['diebold_mariano_p']:.2g} |"
        )
    sections = ["### Against each baseline", "\n".join(lines)]
    best = metrics["versus_best_baseline"]["baseline"]
    for kind, rows in metrics["slices"].items():
        lines = [f"| {kind} | values | WAPE | {best} | 80% covers | 95% covers |", "|---" * 6 + "|"]
        for name, row in rows.items():
            lines.append(
                f"| {name} | {row['rows']:,} | {row['wape']['this model']:.2f} | "
                f"{row['wape'][best]:.2f} | {row['coverage_80']:.1%} | {row['coverage_95']:.1%} |"
            )
        sections += [f"### By {kind}", "\n".join(lines)]
    shape = model["shape"]
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model["validation"].items())
    sections.append(
        f"## Training\n\nHorizon {shape['horizon']} steps of {shape['freq']}, seasons of "
        f"{', '.join(map(str, shape['season_lengths']))} steps, {model['windows']['train']:,} "
        f"windows. Kept: the epoch with the lowest validation loss ({scores}). The intervals were "
        "widened or narrowed on the validation block (conformalised quantile regression), by "
        f"{model['margins'][3]:+.4f} and {model['margins'][4]:+.4f} of the level on each side."
    )
    return sections
