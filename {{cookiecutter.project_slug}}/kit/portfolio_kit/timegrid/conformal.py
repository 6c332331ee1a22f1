"""Calibrates intervals: how much wider or narrower they must be to cover what they promise."""

import math

import numpy as np

LEVELS = (0.8, 0.95)
TINY = 1e-12


def fit_widths(y: np.ndarray, observed: np.ndarray, quantiles: np.ndarray) -> list[float]:
    """Return by what factor the 80% and the 95% interval must be widened, around the median.

    Conformalised quantile regression (Romano et al. 2019) with distances from the median in units
    of the interval's own half-width, so the factors have no unit, and wide intervals stay the
    wider ones. y and observed are (windows, horizon), quantiles (windows, horizon, 5).
    """
    lowest, low, middle, high, highest = np.moveaxis(quantiles, -1, 0)
    off, factors = y - middle, []
    for level, bottom, top in zip(LEVELS, (low, lowest), (high, highest), strict=True):
        half = np.where(off < 0, middle - bottom, top - middle)
        distances = np.abs(off) / np.maximum(half, TINY)
        factors.append(conformal_quantile(distances[observed], level))
    return factors


def conformal_quantile(distances: np.ndarray, level: float) -> float:
    """Return the k-th smallest distance, k = ceil((n + 1) * level), or the largest; 1 of none."""
    if not len(distances):
        return 1.0
    k = min(math.ceil((len(distances) + 1) * level), len(distances))
    return float(np.partition(distances, k - 1)[k - 1])
