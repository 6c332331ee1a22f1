"""95% intervals: how far a score would move with another test set of the same size."""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest, bootstrap

LEVEL = 0.95
MAX_INDICES = 5_000_000  # in memory at a time


def interval_95(
    statistic: Callable[[np.ndarray], float], rows: int, samples: int, seed: int
) -> list[float]:
    """Return the percentile bootstrap interval [low, high] of `statistic` (Efron 1979).

    `statistic` takes row indices (rows,), drawn with replacement, and returns a score; the
    difference of two models' scores on the same indices makes it a paired bootstrap.
    """
    result = bootstrap(
        (np.arange(rows),),
        statistic,
        n_resamples=samples,
        batch=max(1, MAX_INDICES // rows),
        vectorized=False,
        method="percentile",
        confidence_level=LEVEL,
        rng=np.random.default_rng(seed),
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def share_interval_95(hits: int, rows: int) -> list[float]:
    """Return the interval [low, high] of a share, here of hits among rows (Wilson 1927)."""
    interval = binomtest(hits, rows).proportion_ci(LEVEL, method="wilson")
    return [float(interval.low), float(interval.high)]
