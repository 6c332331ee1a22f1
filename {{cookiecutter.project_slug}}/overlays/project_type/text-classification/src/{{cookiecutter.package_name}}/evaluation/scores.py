"""Metrics of a classifier that scikit-learn lacks, or is too slow at for a bootstrap."""

import numpy as np


def macro_f1(targets: np.ndarray, predictions: np.ndarray, n_classes: int) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); both (rows,) class indices.

    A class that occurs neither in targets nor in predictions has no F1 and is left out, as in
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
    confidence = probabilities.max(axis=1)
    surplus = confidence - (probabilities.argmax(axis=1) == targets)
    bins = np.minimum((confidence * 15).astype(int), 14)
    return float(np.abs(np.bincount(bins, surplus)).sum() / len(targets))
