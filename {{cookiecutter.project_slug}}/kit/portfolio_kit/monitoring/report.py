"""`reports/drift.md`: the verdict in words, and a figure of each signal's distributions."""

import numpy as np
import pandas as pd

from ..artifacts import REPORTS, write_text
from ..fonts import MARKS
from ..markdown import cell, legend, plain
from ..plots import ACCENT, MUTED, STYLE, plt, save
from ..records import Interval
from .verdict import Verdict

REPORT = REPORTS / "drift.md"
FIGURE = "drift.png"
BINS = 30
MAX_NAMES, MAX_CHARACTERS = 20, 40  # of categories in the figure


def write(verdict: Verdict, reference: pd.DataFrame, window: pd.DataFrame) -> None:
    """Write the report and its figure."""
    draw(reference, window)
    quality, rejected = verdict.quality, verdict.data_quality
    live = "Unknown: no outcomes were given (`monitor.labels`)."
    if quality:
        now, then = map(_interval, (quality.interval_95, quality.held_out_interval_95))
        live = (
            f"{quality.metric} {quality.live:.3f} ({now}) on {quality.answers:,} answers with a "
            f"known outcome; on the held-out test set {quality.held_out:.3f} ({then})."
        )
    rule = "|---" * 7 + "|"
    rows = [
        f"| {cell(one.signal)} | {one.test} | {one.effect:.3f} | {one.adjusted:.2g} | "
        f"{_numbers(one.reference)} | {_numbers(one.window)} | {'**alarm**' * one.is_alarm} |"
        for one in verdict.signals
    ]
    lines = [
        f"# Drift: {'alarm' if verdict.alarm else 'no alarm'}",
        "\n".join(f"- {cell(reason)}" for reason in verdict.reasons),
        f"Model `{verdict.model_version}`: {verdict.answers:,} answers from {verdict.first} to "
        f"{verdict.last}, compared with {len(reference):,} of the validation set.",
        "\n".join(["| signal | test | effect | adjusted p | reference | served | |", rule, *rows]),
        f"![Distribution of each signal]({FIGURE})",
        legend(MARKS),
        f"## Quality\n\n{live}",
        f"## Invalid requests\n\n{rejected.invalid:,} of {rejected.requests:,}.",
    ]
    write_text(REPORT, "\n\n".join(filter(None, lines)) + "\n")


def draw(reference: pd.DataFrame, window: pd.DataFrame) -> None:
    """Draw each signal in both samples, as shares."""
    with plt.rc_context(STYLE):
        size = (7.5, 2.4 * len(reference.columns))
        figure, panels = plt.subplots(
            len(reference.columns), figsize=size, squeeze=False, layout="tight"
        )
        for axes, name in zip(panels[:, 0], reference, strict=True):
            title = str(name)
            both = (reference[name], MUTED, "reference"), (window[name], ACCENT, "served")
            if pd.api.types.is_numeric_dtype(reference[name]):
                every = np.concatenate([values for values, _, _ in both])
                bins = np.histogram_bin_edges(every, BINS).tolist()
                for values, color, label in both:
                    shares = np.full(len(values), 1 / len(values))
                    axes.hist(values, bins, weights=shares, color=color, alpha=0.6, label=label)
            else:
                names = (
                    reference[name].value_counts().index.union(window[name].unique(), sort=False)
                )
                if len(names) > MAX_NAMES:
                    title += f", the first {MAX_NAMES} of {len(names):,}"
                names = names[:MAX_NAMES]
                places = np.arange(len(names))
                for place, (values, color, label) in enumerate(both):
                    shares = values.value_counts(normalize=True).reindex(names, fill_value=0)
                    axes.bar(places + 0.4 * place, shares, 0.4, color=color, label=label)
                short = [plain(str(name), MAX_CHARACTERS) for name in names]
                turn = {"rotation": 45, "rotation_mode": "anchor", "ha": "right", "size": 8}
                axes.set_xticks(places + 0.2, short, **turn)
            axes.set_title(title)
            axes.set_ylabel("share")
        panels[0, 0].legend(frameon=False)
        save(figure, FIGURE, REPORTS)


def _interval(limits: Interval | None) -> str:
    return "95% interval {:.3f} to {:.3f}".format(*limits) if limits else "too few for an interval"


def _numbers(summary: dict[str, float]) -> str:
    return ", ".join(f"{cell(name)} {value:.3g}" for name, value in summary.items())
