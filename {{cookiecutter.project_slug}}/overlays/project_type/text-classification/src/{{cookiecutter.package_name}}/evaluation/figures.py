"""Figures of a classifier's strengths and mistakes; `REPORTING` has their captions."""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import confusion_matrix

from portfolio_kit.classification.plots import confusion, coverage, reliability
from portfolio_kit.plots import STYLE, comparison, save

from .metrics import Metrics
from .scores import BINS, coverage_curve


def draw(metrics: Metrics, test: pd.DataFrame, valid: pd.DataFrame) -> None:
    """Draw each figure into `reports/figures/`; both tables have the model's answers."""
    comparison(metrics, "macro_f1", "comparison.png")
    labels, calibration = list(metrics.per_class), metrics.calibration
    counts = confusion_matrix(test["label"], test["answer"], labels=labels)
    confidences = {
        f"before temperature scaling, ECE {calibration.ece_before:.3f}": test["uncalibrated"],
        f"after temperature scaling, ECE {calibration.ece_after:.3f}": test["confidence"],
    }
    curves = {
        name: coverage_curve(rows["confidence"].to_numpy(), rows["is_right"].to_numpy())
        for name, rows in (("validation set", valid), ("test set", test))
    }
    with plt.rc_context(STYLE):
        save(confusion(counts, labels), "confusion_matrix.png")
        save(reliability(confidences, test["is_right"], BINS), "reliability.png")
        save(coverage(curves, metrics.selective_prediction), "coverage.png")
