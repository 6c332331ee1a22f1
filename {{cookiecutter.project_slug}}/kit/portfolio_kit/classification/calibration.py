"""Calibrates the confidence, and finds the threshold below which a person should look."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

PRECISIONS = 0.95, 0.98, 0.99  # whose effect is shown, for a choice of `train.review_precision`
NEAR = 0.02  # of the accuracy: then hardly any text needs review


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the T that minimises the mean negative log-likelihood of softmax(logits / T).

    logits (rows, classes), targets (rows,) class indices (Guo et al. 2017). A T above 1 lowers the
    confidence, one below 1 raises it; the label stays the same. Targets are smoothed by one row in
    n + 2 (Platt 1999), or T would go to zero where the model is right about every row.
    """
    rows, classes = logits.shape
    doubt = 1 / (rows + 2)
    wanted = np.full((rows, classes), doubt / (classes - 1))
    wanted[np.arange(rows), targets] = 1 - doubt

    def loss(log_temperature: float) -> float:
        return -(wanted * log_softmax(logits / np.exp(log_temperature), axis=1)).sum() / rows

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def abstention_threshold(confidence: np.ndarray, is_right: np.ndarray, precision: float) -> float:
    """Return the lowest confidence from which the wanted share of answers is right.

    Both arrays are (rows,). If no confidence reaches that share the threshold is above 1, and the
    model abstains from every answer.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    shares = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    # Rows of equal confidence are accepted together, so only the last of them is a place to cut.
    is_last = np.append(sorted_confidence[1:] != sorted_confidence[:-1], True)
    cuts = np.flatnonzero(is_last & (shares >= precision))
    return float(sorted_confidence[cuts[-1]]) if len(cuts) else float(np.nextafter(1, 2))


def review_advice(confidence: np.ndarray, is_right: np.ndarray, precision: float) -> str | None:
    """Return what other precisions would send to review, if this one is near the accuracy."""
    accuracy = is_right.mean()
    if precision > accuracy + NEAR:
        return None
    sent = []
    for level in dict.fromkeys([precision, *PRECISIONS]):
        is_sent = confidence < abstention_threshold(confidence, is_right, level)
        sent.append(f"{is_sent.mean():.1%} at {level:g}")
    return (
        f"train.review_precision: {precision:g}, but even without review {accuracy:.1%} of answers "
        f"are right on the validation set; texts sent to review: {', '.join(sent)}"
    )
