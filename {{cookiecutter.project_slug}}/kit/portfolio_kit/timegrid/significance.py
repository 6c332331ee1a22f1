"""Whether one forecaster is better than another by more than chance.

The errors of windows that start at the same moment, or at neighbouring ones, are correlated. So
whole stretches of time are drawn (a circular block bootstrap, Politis and Romano 1992), and the
test of Diebold and Mariano (1995) accounts for their covariance. Of few stretches neither can say
anything: drawn again and again they would give intervals of no width, and certainty.
"""

import math

import numpy as np
from scipy import stats

LIMITS = (2.5, 97.5)
MIN_BLOCKS = 5  # stretches of time, at least


class BlockBootstrap:
    """Draws the moments at which windows start, in blocks; windows of one moment stay together."""

    def __init__(self, starts: np.ndarray, block: int, samples: int, seed: int) -> None:
        moments, self._moment = np.unique(starts, return_inverse=True)
        self.moments = len(moments)
        self.is_enough = self.moments >= MIN_BLOCKS * block
        self._drawn = draw_blocks(self.moments, block, samples, seed)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum (moments,) of values (windows, horizon) at each start, without NaN."""
        return np.bincount(self._moment, np.nansum(values, axis=1), self.moments)

    def ratio(self, above: np.ndarray, below: np.ndarray) -> tuple[float, list[float] | None]:
        """Return the ratio of two sums over moments, each given as (moments,), and its percentile
        interval [low, high]; None where there are too few moments to say.
        """
        ratio = float(above.sum() / below.sum())
        if not self.is_enough:
            return ratio, None
        found = [above[rows].sum() / below[rows].sum() for rows in self._drawn]
        return ratio, [float(limit) for limit in np.percentile(found, LIMITS)]


def draw_blocks(moments: int, block: int, samples: int, seed: int) -> np.ndarray:
    """Return indices (samples, moments) of moments, drawn in circular blocks of `block`."""
    random = np.random.default_rng(seed)
    block = min(block, moments)
    starts = random.integers(moments, size=(samples, math.ceil(moments / block)))
    drawn = (starts[:, :, None] + np.arange(block)) % moments
    return drawn.reshape(samples, -1)[:, :moments]


def diebold_mariano(ours: np.ndarray, theirs: np.ndarray, overlap: int) -> float:
    """Return the two-sided p-value that two forecasters are equally good, given losses (moments,).

    `overlap` is the number of following windows that share a forecast moment. With the correction
    for small samples and Student's t (Harvey, Leybourne and Newbold 1997); the variance is weighted
    as in Newey and West (1987), which keeps it positive.
    """
    difference = theirs - ours
    n, centred = len(difference), difference - difference.mean()
    variance = centred @ centred / n
    for lag in range(1, min(overlap, n - 1) + 1):
        variance += 2 * (1 - lag / (overlap + 1)) * (centred[lag:] @ centred[:-lag]) / n
    steps = overlap + 1
    correction = max(0.0, (n + 1 - 2 * steps + steps * (steps - 1) / n) / n)
    if variance == 0:
        return 1.0 if difference.mean() == 0 else 0.0
    statistic = math.sqrt(correction) * difference.mean() / math.sqrt(variance / n)
    return float(2 * stats.t.sf(abs(statistic), df=n - 1))
