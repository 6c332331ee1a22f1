"""Whether one forecaster is better than another beyond chance.

Windows that start at one moment, and those of neighbouring moments, are wrong together: they are
not as many facts. So whole stretches of time are drawn (a circular block bootstrap, Politis and
Romano 1992), and the test of Diebold and Mariano (1995) counts their covariance.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

LIMITS = (2.5, 97.5)


def draw_blocks(moments: int, block: int, samples: int, seed: int) -> np.ndarray:
    """Return indices (samples, moments) of moments, drawn in circular blocks of `block`."""
    random = np.random.default_rng(seed)
    block = min(block, moments)
    starts = random.integers(moments, size=(samples, math.ceil(moments / block)))
    drawn = (starts[:, :, None] + np.arange(block)) % moments
    return drawn.reshape(samples, -1)[:, :moments]


def interval_95(statistic: Callable[[np.ndarray], float], drawn: np.ndarray) -> list[float]:
    """Return the percentile interval [low, high] of a statistic of moments' indices."""
    return [float(limit) for limit in np.percentile([statistic(rows) for rows in drawn], LIMITS)]


def diebold_mariano(ours: np.ndarray, theirs: np.ndarray, overlap: int) -> float:
    """Return the two-sided p-value that two forecasters lose alike, of losses (moments,).

    `overlap` is how many following windows share a moment that is forecast. With the correction
    for small samples, and against Student's t (Harvey, Leybourne and Newbold 1997); the variance
    is weighed as Newey and West (1987) do, which keeps it positive.
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
