"""Figures of a classifier's strengths and mistakes; `REPORTING` has their captions."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay

from portfolio_kit.plots import ACCENT, MUTED, STYLE, comparison, save

from .metrics import Metrics
from .scores import BINS, coverage_curve


def draw(metrics: Metrics, test: pd.DataFrame, valid: pd.DataFrame) -> None:
    """Draw each figure into `reports/figures/`; both tables have the model's answers."""
    comparison(metrics, "macro_f1", "comparison.png")
    with plt.rc_context(STYLE):
        confusion_matrix(metrics, test)
        reliability(metrics, test)
        coverage(metrics, test, valid)


def confusion_matrix(metrics: Metrics, test: pd.DataFrame) -> None:
    labels = list(metrics.per_class)
    figure, axes = plt.subplots(figsize=(0.45 * len(labels) + 4, 0.45 * len(labels) + 2))
    matrix = ConfusionMatrixDisplay.from_predictions(
        test["label"],
        test["answer"],
        labels=labels,
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
    scores = metrics.per_class.items()
    axes.set_yticklabels(f"{label}\nF1 {row.f1:.2f}, n={row.rows}" for label, row in scores)
    axes.set_title("Confusion matrix, % of each true class")
    save(figure, "confusion_matrix.png")


def reliability(metrics: Metrics, test: pd.DataFrame) -> None:
    chosen = metrics.calibration
    figure, axes = plt.subplots(figsize=(5, 5))
    for name, column, ece, color in (
        ("before", "uncalibrated", chosen.ece_before, MUTED),
        ("after", "confidence", chosen.ece_after, ACCENT),
    ):
        bins = test.groupby((test[column] * BINS).astype(int).clip(upper=BINS - 1))
        x, y = bins[[column, "is_right"]].mean().to_numpy(float).T
        label = f"{name} temperature scaling, ECE {ece:.3f}"
        axes.plot(x, y, color=color, label=label)
        axes.scatter(x, y, 300 * bins.size() / len(test), color=color)
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="perfect")
    axes.set(xlabel="confidence", ylabel="share of right answers", title="Reliability")
    axes.legend(loc="upper left", frameon=False)
    save(figure, "reliability.png")


def coverage(metrics: Metrics, test: pd.DataFrame, valid: pd.DataFrame) -> None:
    chosen = metrics.selective_prediction
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for name, rows, color in (("validation", valid, MUTED), ("test", test, ACCENT)):
        share, precision = coverage_curve(*rows[["confidence", "is_right"]].to_numpy().T)
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
