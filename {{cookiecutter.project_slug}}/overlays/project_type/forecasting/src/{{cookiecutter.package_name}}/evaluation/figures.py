"""Figures of a forecaster's strengths and mistakes; `REPORTING` has their captions."""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from portfolio_kit.plots import ACCENT, MUTED, STYLE, comparison, save
from portfolio_kit.timegrid.plots import draw_fans, rank_weeks

from ..features import MEDIAN
from .held_out import Test
from .metrics import Metrics
from .scores import wape

LINES = ("-", "--", ":", "-.")


def draw(
    metrics: Metrics, test: Test, quantiles: np.ndarray, rivals: dict[str, np.ndarray]
) -> None:
    """Draw each figure into `reports/figures/`; quantiles are (windows, horizon, levels)."""
    comparison(metrics, "wape", "comparison.png", lower_is_better=True)
    with plt.rc_context(STYLE):
        fans(test, quantiles)
        lead_time(metrics)
        coverage(metrics)
        slices(metrics)


def fans(test: Test, quantiles: np.ndarray) -> None:
    def error(rows: np.ndarray) -> float:
        return wape(test.y[rows], quantiles[rows, :, MEDIAN])

    weeks = rank_weeks(test.origins.which, test.moments[:, 0], error)
    figure, panels = plt.subplots(len(weeks), 1, figsize=(9, 2.6 * len(weeks)))
    for axes, (name, rows) in zip(panels, weeks.items(), strict=True):
        draw_fans(axes, test.moments[rows], test.y[rows], quantiles[rows])
        axes.set_title(f"{name} week, WAPE {error(rows):.1f}%")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper right", ncols=4, frameon=False)
    figure.tight_layout()
    save(figure, "fans.png")


def lead_time(metrics: Metrics) -> None:
    leads = metrics.slices["lead"]
    figure, axes = plt.subplots(figsize=(7.5, 4))
    lines = itertools.cycle(LINES)
    for name in ("this model", *metrics.baselines):
        is_ours = name == "this model"
        style = {"color": ACCENT, "linewidth": 2} if is_ours else {"color": "#66707a"}
        line = "-" if is_ours else next(lines)
        errors = [part.wape[name] for part in leads.values()]
        axes.plot([*map(int, leads)], errors, linestyle=line, label=name, **style)
    axes.set(xlabel="lead time, steps", ylabel="WAPE, %", ylim=(0, None))
    axes.set_title("Error by lead time")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, "lead_time.png")


def coverage(metrics: Metrics) -> None:
    leads = metrics.slices["lead"]
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for level, color in ((80, ACCENT), (95, "black")):
        shares = [100 * getattr(part, f"coverage_{level}") for part in leads.values()]
        axes.plot([*map(int, leads)], shares, color=color, label=f"{level}% interval")
        axes.axhline(level, color=color, linewidth=1, linestyle=":")
    axes.set(xlabel="lead time, steps", ylabel="values inside, %", ylim=(50, 100))
    axes.set_title("Coverage by lead time")
    axes.legend(frameon=False, loc="lower left")
    save(figure, "coverage.png")


def slices(metrics: Metrics) -> None:
    assert metrics.versus_best_baseline
    best = metrics.versus_best_baseline.baseline
    kinds = {kind: parts for kind, parts in metrics.slices.items() if kind != "lead"}
    count = max(1, len(kinds))  # an empty panel if times are all alike
    size = (3.6 * count, 3.4)
    figure, panels = plt.subplots(1, count, figsize=size, sharey=True, squeeze=False)
    for axes, (kind, parts) in zip(panels[0], kinds.items(), strict=False):
        places = np.arange(len(parts))
        for name, color, side in (("this model", ACCENT, -0.2), (best, MUTED, 0.2)):
            errors = [part.wape[name] for part in parts.values()]
            axes.bar(places + side, errors, 0.4, color=color, label=name)
        every = 1 if len(parts) <= 8 else 3
        names = [name[:3] if kind == "weekday" else name for name in parts]
        axes.set_xticks(places[::every], names[::every])
        axes.set_title(f"By {kind}")
    panels[0, 0].set_ylabel("WAPE, %")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2, frameon=False)
    save(figure, "slices.png")
