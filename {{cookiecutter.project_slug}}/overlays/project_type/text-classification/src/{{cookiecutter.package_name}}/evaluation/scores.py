"""Scores of a classifier that scikit-learn lacks, or is too slow at for a bootstrap."""

import numpy as np

BINS = 15  # of confidence


def macro_f1(targets: np.ndarray, predictions: np.ndarray, n_classes: int) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); both (rows,) class indices.

    A class that occurs neither in targets nor in predictions has no F1 and is skipped, as in
    scikit-learn's `f1_score(average="macro")`.
    """
    hits = np.bincount(targets[targets == predictions], minlength=n_classes)
    occurrences = np.bincount(np.concatenate([targets, predictions]), minlength=n_classes)
    present = occurrences > 0
    return float((2 * hits[present] / occurrences[present]).mean())


def expected_calibration_error(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Return the mean gap between both (rows,) over equal bins of confidence (Guo et al. 2017)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, confidence - is_right)).sum() / len(bins))


def coverage_curve(confidence: np.ndarray, is_right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and precision, each (rows,), as the threshold falls from row to row."""
    ranked = is_right[np.argsort(-confidence, kind="stable")]
    answered = np.arange(1, len(ranked) + 1)
    return answered / len(ranked), ranked.cumsum() / answered
