"""The style of every figure, and the charts that project types share."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # draws files, on machines without a screen too
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .artifacts import REPORTS, write_atomic
from .fonts import make_legible
from .records import Metrics

ACCENT, MUTED = "#0b6e75", "#b8bfc6"
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "savefig.bbox": "tight",
    "savefig.dpi": 160,
    "text.parse_math": False,  # a "$" in a name is a "$"
}


def comparison(
    metrics: Metrics, metric: str, name: str, lower_is_better: bool = False, label: str = ""
) -> None:
    """Draw the model's metric, with its 95% interval, next to each baseline's, best on top.

    `label` names the metric if it has a unit.
    """
    models = {"this model": metrics.model, **metrics.baselines}
    names = sorted(models, key=lambda model: models[model][metric], reverse=lower_is_better)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 0.5 * len(names) + 1))
        colors = [ACCENT if model == "this model" else MUTED for model in names]
        bars = axes.barh(names, [models[model][metric] for model in names], color=colors)
        axes.bar_label(bars, fmt="%.3f", padding=22)
        if limits := metrics.intervals_95.get(metric):
            axes.plot(limits, ["this model"] * 2, color="black", linewidth=2)
        axes.margins(x=0.15)
        axes.set_xlabel(label)
        axes.set_title(f"Held-out test set: {metric.replace('_', ' ')}")
        save(figure, name)


def save(figure: Figure, name: str, folder: Path = REPORTS / "figures") -> None:
    """Write the figure into `reports/figures/`, with letters of any script, and close it."""
    make_legible(figure)

    def write(path: Path) -> None:
        figure.savefig(path, format=Path(name).suffix[1:], metadata={"Software": None})

    write_atomic(folder / name, write)
    plt.close(figure)
