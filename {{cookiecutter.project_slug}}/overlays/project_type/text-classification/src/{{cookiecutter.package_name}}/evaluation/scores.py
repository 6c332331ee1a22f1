"""Metrics of a classifier that scikit-learn lacks, or is too slow at for a bootstrap."""

import numpy as np


def macro_f1(targets: np.ndarray, predictions: np.ndarray, n_classes: int) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); both (rows,) class indices.

    A class that occurs neither in targets nor in predictions has no F1 and is skipped, as in
    scikit-learn's `f1_score(average="macro")`.
    """
    hits = np.bincount(targets[targets == predictions], minlength=n_classes)
    occurrences = np.bincount(np.concatenate([targets, predictions]), minlength=n_classes)
    present = occurrences > 0
    return float((2 * hits[present] / occurrences[present]).mean())


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean gap between confidence and accuracy over 15 equal bins (Guo et al. 2017).

    targets (rows,) class indices, probabilities (rows, classes).
    """
    rows, confidence, accuracy = reliability(targets, probabilities)
    return float((rows * np.abs(confidence - accuracy)).sum() / len(targets))


def reliability(
    targets: np.ndarray, probabilities: np.ndarray, n_bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, mean confidence and accuracy per bin of confidence, (bins,); 0 if empty."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == targets
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    rows = np.bincount(bins, minlength=n_bins)
    mean_confidence, accuracy = (
        np.bincount(bins, each, n_bins) / np.maximum(rows, 1) for each in (confidence, is_right)
    )
    return rows, mean_confidence, accuracy
