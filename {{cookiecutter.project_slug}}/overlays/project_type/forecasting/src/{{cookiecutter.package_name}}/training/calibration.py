"""Makes intervals honest: how much wider, or narrower, they have to be on the validation block."""

import math

import numpy as np


def margins(y: np.ndarray, observed: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return what to move each of the five quantiles by, (levels,), so that intervals cover.

    Conformalised quantile regression (Romano et al. 2019): the 80% interval is widened by the 80%
    quantile of how far values lie outside of it (a negative distance inside), and the 95% interval
    alike. y and observed are (windows, horizon), quantiles (windows, horizon, 5), on one scale.
    """
    lowest, low, _, high, highest = np.moveaxis(quantiles, -1, 0)
    outer, inner = (
        _conformal_quantile(np.maximum(bottom - y, y - top)[observed], level)
        for bottom, top, level in ((lowest, highest, 0.95), (low, high, 0.8))
    )
    return np.array([-outer, -inner, 0.0, inner, outer], dtype=np.float32)


def _conformal_quantile(distances: np.ndarray, level: float) -> float:
    """Return the k-th smallest distance, k = ceil((n + 1) * level), else the largest; 0 of none."""
    if not len(distances):
        return 0.0
    k = min(math.ceil((len(distances) + 1) * level), len(distances))
    return float(np.partition(distances, k - 1)[k - 1])
