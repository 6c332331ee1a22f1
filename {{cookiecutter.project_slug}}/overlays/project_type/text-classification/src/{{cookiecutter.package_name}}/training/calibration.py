"""Makes a confidence mean what it says, and finds the one below which a person should look."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the T that minimises the mean negative log-likelihood of softmax(logits / T).

    logits (rows, classes), targets (rows,) class indices (Guo et al. 2017). A T above 1 makes
    answers more modest, one below 1 surer; their order, and so the label, stays. Targets are
    smoothed by one row in two more than there are (Platt 1999): else T would go to zero where the
    model is right about every row.
    """
    rows, classes = logits.shape
    doubt = 1 / (rows + 2)
    wanted = np.full((rows, classes), doubt / (classes - 1))
    wanted[np.arange(rows), targets] = 1 - doubt

    def loss(log_temperature: float) -> float:
        return -(wanted * log_softmax(logits / np.exp(log_temperature), axis=1)).sum() / rows

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def review_threshold(confidence: np.ndarray, is_right: np.ndarray, precision: float) -> float:
    """Return the lowest confidence from which on the wanted share of answers is right.

    Both arrays (rows,). Above 1, so that all need review, if no confidence reaches that share.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    shares = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    # Rows of equal confidence are accepted together: only the last of them is a place to cut.
    is_last = np.append(sorted_confidence[1:] != sorted_confidence[:-1], True)
    cuts = np.flatnonzero(is_last & (shares >= precision))
    return float(sorted_confidence[cuts[-1]]) if len(cuts) else float(np.nextafter(1, 2))
