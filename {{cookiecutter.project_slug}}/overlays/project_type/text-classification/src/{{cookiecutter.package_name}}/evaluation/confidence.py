"""What the model's confidence is worth: is it true, and does it tell which answers to check?"""

from typing import Any

import numpy as np

from .intervals import share_interval_95
from .scores import expected_calibration_error


def calibration(
    targets: np.ndarray, probabilities: np.ndarray, temperature: float
) -> dict[str, float]:
    """Return the calibration error as served, and as it would be without temperature scaling."""
    uncalibrated = undo_temperature(probabilities, temperature)
    return {
        "temperature": temperature,
        "ece_before": expected_calibration_error(targets, uncalibrated),
        "ece_after": expected_calibration_error(targets, probabilities),
    }


def undo_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(logits), given softmax(logits / temperature); both (rows, classes)."""
    powers = probabilities**temperature
    return powers / powers.sum(axis=1, keepdims=True)


def review(
    targets: np.ndarray, probabilities: np.ndarray, chosen: dict[str, float]
) -> dict[str, Any]:
    """Return how the threshold that was chosen on the validation set does on these rows.

    chosen: threshold and target_precision, from the model's manifest, whatever serve.review_below
    says. coverage is the share of answers that need no review, precision the share of right ones
    among them (null if there are none).
    """
    accepted = probabilities.max(axis=1) >= chosen["threshold"]
    hits = int((probabilities.argmax(axis=1) == targets)[accepted].sum())
    rows = int(accepted.sum())
    return {
        **chosen,
        "coverage": rows / len(targets),
        "precision": hits / rows if rows else None,
        "precision_interval_95": share_interval_95(hits, rows) if rows else None,
    }


def coverage_curve(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and precision, each (rows,), as the threshold goes down from row to row."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    is_right = (probabilities.argmax(axis=1) == targets)[order]
    rows = np.arange(1, len(targets) + 1)
    return rows / len(targets), is_right.cumsum() / rows
