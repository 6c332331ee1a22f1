"""Whether the model's confidence is true, and whether it tells which answers to check."""

import numpy as np

from portfolio_kit.intervals import share_interval_95
from portfolio_kit.records import Interval, Record

from .scores import expected_calibration_error


class Calibration(Record):
    """The expected calibration error with and without temperature scaling."""

    temperature: float
    ece_before: float
    ece_after: float


class SelectivePrediction(Record):
    """How the threshold that was chosen on the validation set does on other rows."""

    target_precision: float
    threshold: float
    coverage: float  # the share of answers that the model does not abstain from
    precision: float | None  # the share of right ones among them; None if there are none
    precision_interval_95: Interval | None


def calibration(targets: np.ndarray, probabilities: np.ndarray, temperature: float) -> Calibration:
    """Return the calibration error as served, and as it would be without temperature scaling."""
    uncalibrated = undo_temperature(probabilities, temperature)
    return Calibration(
        temperature=temperature,
        ece_before=expected_calibration_error(targets, uncalibrated),
        ece_after=expected_calibration_error(targets, probabilities),
    )


def undo_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(logits), given softmax(logits / temperature); both (rows, classes)."""
    powers = probabilities**temperature
    return powers / powers.sum(axis=1, keepdims=True)


def selective_prediction(
    targets: np.ndarray, probabilities: np.ndarray, target_precision: float, threshold: float
) -> SelectivePrediction:
    """Return coverage and precision at the model's own threshold, whatever serve.review_below is.

    targets (rows,) class indices, probabilities (rows, classes).
    """
    accepted = probabilities.max(axis=1) >= threshold
    hits = int((probabilities.argmax(axis=1) == targets)[accepted].sum())
    rows = int(accepted.sum())
    return SelectivePrediction(
        target_precision=target_precision,
        threshold=threshold,
        coverage=rows / len(targets),
        precision=hits / rows if rows else None,
        precision_interval_95=share_interval_95(hits, rows) if rows else None,
    )


def coverage_curve(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and precision, each (rows,), as the threshold falls from row to row."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    is_right = (probabilities.argmax(axis=1) == targets)[order]
    rows = np.arange(1, len(targets) + 1)
    return rows / len(targets), is_right.cumsum() / rows
