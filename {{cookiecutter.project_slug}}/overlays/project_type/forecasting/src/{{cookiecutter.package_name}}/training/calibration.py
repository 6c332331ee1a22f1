"""Calibrates intervals: how much wider or narrower they must be on the validation block."""

import math

import numpy as np


def fit_margins(y: np.ndarray, observed: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return what to add to each of the five quantiles, (levels,), for the intervals to cover.

    Conformalised quantile regression (Romano et al. 2019): the 80% interval is widened by the 80%
    quantile of how far values lie outside it (a negative distance inside), and the 95% interval in
    the same way. y and observed are (windows, horizon), quantiles (windows, horizon, 5).
    """
    lowest, low, _, high, highest = np.moveaxis(quantiles, -1, 0)
    outer, inner = (
        conformal_quantile(np.maximum(bottom - y, y - top)[observed], level)
        for bottom, top, level in ((lowest, highest, 0.95), (low, high, 0.8))
    )
    return np.array([-outer, -inner, 0.0, inner, outer], dtype=np.float32)


def conformal_quantile(distances: np.ndarray, level: float) -> float:
    """Return the k-th smallest distance, k = ceil((n + 1) * level), or the largest; 0 of none."""
    if not len(distances):
        return 0.0
    k = min(math.ceil((len(distances) + 1) * level), len(distances))
    return float(np.partition(distances, k - 1)[k - 1])
