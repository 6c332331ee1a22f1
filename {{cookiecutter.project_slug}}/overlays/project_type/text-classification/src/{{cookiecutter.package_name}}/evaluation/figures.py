"""Figures of a classifier's strengths and mistakes."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay

from portfolio_kit.plots import ACCENT, MUTED, STYLE, comparison, save

from .confidence import coverage_curve, undo_temperature
from .metrics import Metrics
from .scores import reliability

CAPTIONS = {
    "comparison.png": "Macro-F1 against the baselines; the line is the 95% interval",
    "f1_by_class.png": "F1 by class, best first, with the number of test rows",
    "confusion_matrix.png": "Where each class's rows go, in percent of the true class",
    "reliability.png": "How often the model is right at each level of confidence",
    "coverage.png": "The more the model abstains, the more of its answers are right",
}
Rows = tuple[np.ndarray, np.ndarray]  # class indices (rows,), probabilities (rows, classes)


def draw(
    metrics: Metrics, targets: np.ndarray, probabilities: np.ndarray, valid: Rows, labels: list[str]
) -> None:
    """Draw each figure of `CAPTIONS`.

    targets (rows,) class indices and probabilities (rows, classes) of the test set; `valid` holds
    those of the validation set.
    """
    comparison(metrics, "macro_f1", "comparison.png")
    with plt.rc_context(STYLE):
        f1_by_class(metrics)
        confusion_matrix(targets, probabilities, labels)
        reliability_diagram(metrics, targets, probabilities)
        coverage(metrics, (targets, probabilities), valid)


def f1_by_class(metrics: Metrics) -> None:
    by_class = sorted(metrics.per_class.items(), key=lambda item: item[1].f1)
    figure, axes = plt.subplots(figsize=(7.5, 0.32 * len(by_class) + 1))
    names, rows = zip(*by_class, strict=True)
    bars = axes.barh(names, [row.f1 for row in rows], color=ACCENT)
    axes.bar_label(bars, [f"{row.f1:.2f}  (n={row.rows})" for row in rows], padding=4)
    axes.set(xlim=(0, 1.2), xticks=[0, 0.25, 0.5, 0.75, 1], title="F1 by class")
    save(figure, "f1_by_class.png")


def confusion_matrix(targets: np.ndarray, probabilities: np.ndarray, labels: list[str]) -> None:
    figure, axes = plt.subplots(figsize=(0.45 * len(labels) + 3, 0.45 * len(labels) + 2))
    matrix = ConfusionMatrixDisplay.from_predictions(
        targets,
        probabilities.argmax(axis=1),
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


def reliability_diagram(metrics: Metrics, targets: np.ndarray, probabilities: np.ndarray) -> None:
    chosen = metrics.calibration
    before = undo_temperature(probabilities, chosen.temperature)
    figure, axes = plt.subplots(figsize=(5, 5))
    for name, values, ece, color in (
        ("before", before, chosen.ece_before, MUTED),
        ("after", probabilities, chosen.ece_after, ACCENT),
    ):
        counts, confidence, accuracy = reliability(targets, values)
        filled = counts > 0
        label = f"{name} temperature scaling, ECE {ece:.3f}"
        axes.plot(confidence[filled], accuracy[filled], color=color, label=label)
        axes.scatter(confidence, accuracy, 300 * counts / counts.sum(), color=color)
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="perfect")
    axes.set(xlabel="confidence", ylabel="share of right answers", title="Reliability")
    axes.legend(loc="upper left", frameon=False)
    save(figure, "reliability.png")


def coverage(metrics: Metrics, test: Rows, valid: Rows) -> None:
    chosen = metrics.selective_prediction
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for name, rows, color in (("validation", valid, MUTED), ("test", test, ACCENT)):
        share, precision = coverage_curve(*rows)
        shown = share >= 0.1  # the share jumps on few rows
        axes.plot(share[shown], precision[shown], color=color, label=f"{name} set")
    axes.axhline(chosen.target_precision, color="black", linewidth=1, linestyle=":")
    if chosen.precision is not None:
        label = f"threshold {chosen.threshold:.2f}"
        axes.plot(chosen.coverage, chosen.precision, "o", color="black", label=label)
    axes.set(xlabel="coverage: share of texts answered", ylabel="share of right answers")
    axes.set_title("Selective prediction")
    axes.legend(loc="lower left", frameon=False)
    save(figure, "coverage.png")
