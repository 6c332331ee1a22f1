"""Calibrates intervals: how much wider or narrower they must be to cover what they promise."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

LEVELS = (0.8, 0.95)
TINY = 1e-12
CALMEST = 0.01  # spreads; calmer windows are all alike
POWER = 0.25  # of how far values strayed; the doubt about what follows grows less than that


def volatility(history: "torch.Tensor", shortest: int, longest: int) -> "torch.Tensor":
    """Return how much wider the intervals of restless windows are than those of calm ones.

    history is (windows, steps), in units of each window's spread; the result is (windows, 1), a
    power of how far the newest longest season strays from those before it, and the last two
    shortest seasons each from the one before.
    """
    length = history.shape[1] // longest * longest
    seasons = history[:, -length:].reshape(-1, length // longest, longest)
    unusual = seasons[:, -1] - seasons[:, :-1].mean(dim=1)
    unusual = unusual - unusual.mean(dim=1, keepdim=True)
    changes = (history[:, shortest:] - history[:, :-shortest])[:, -2 * shortest :]
    squares = (unusual**2).mean(dim=1, keepdim=True) + changes.abs().mean(dim=1, keepdim=True) ** 2
    return squares.clamp(min=CALMEST**2) ** (POWER / 2)


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
