"""Figures and tables that show a classifier's strengths and mistakes."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from .plots import ACCENT, STYLE, comparison, save

CAPTIONS = {
    "comparison.png": "Macro-F1 against the baselines; the line is the 95% interval",
    "f1_by_class.png": "F1 by class, best first, with the number of test rows",
    "confusion_matrix.png": "Where each class's rows go, in percent of the true class",
}


def draw(
    metrics: dict[str, Any], targets: np.ndarray, predictions: np.ndarray, labels: list[str]
) -> None:
    """Draw each figure of `CAPTIONS`; targets and predictions are class indices (rows,)."""
    comparison(metrics, "macro_f1", "comparison.png")
    by_class = sorted(metrics["per_class"].items(), key=lambda item: item[1]["f1"])
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.5, 0.32 * len(by_class) + 1))
        names, rows = zip(*by_class, strict=True)
        bars = axes.barh(names, [row["f1"] for row in rows], color=ACCENT)
        axes.bar_label(bars, [f"{row['f1']:.2f}  (n={row['rows']:.0f})" for row in rows], padding=4)
        axes.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], title="F1 by class")
        save(figure, "f1_by_class.png")

        figure, axes = plt.subplots(figsize=(0.45 * len(labels) + 3, 0.45 * len(labels) + 2))
        matrix = ConfusionMatrixDisplay.from_predictions(
            targets,
            predictions,
            labels=range(len(labels)),
            display_labels=labels,
            normalize="true",
            cmap="GnBu",
            values_format=".0%",
            colorbar=False,
            text_kw={"fontsize": 7},
            ax=axes,
        )
        for cell in np.ravel(matrix.text_):
            cell.set_visible(cell.get_text() != "0%")
        plt.setp(axes.get_xticklabels(), rotation=45, ha="right")
        axes.set_title("Confusion matrix, % of each true class")
        save(figure, "confusion_matrix.png")


def model_card_sections(metrics: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """Return what the model card says beyond the comparison: by class, and how it was trained."""
    lines = ["| class | precision | recall | F1 | test rows |", "|---|---|---|---|---|"]
    for label, row in metrics["per_class"].items():
        numbers = " | ".join(f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        lines.append(f"| {label} | {numbers} | {row['rows']:.0f} |")
    scores = ", ".join(f"{name.replace('_', ' ')} {v}" for name, v in model["validation"].items())
    training = (
        f"From `{model['backbone']}`, texts cut to {model['max_tokens']} tokens. Kept: the epoch "
        f"with the lowest validation loss ({scores})."
    )
    return ["### By class", "\n".join(lines), "## Training", training]
