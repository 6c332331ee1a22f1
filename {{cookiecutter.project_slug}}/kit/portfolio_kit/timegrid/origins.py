"""Which windows of which series: the places where forecasts begin."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Origins(NamedTuple):
    """Where windows begin."""

    which: np.ndarray  # (windows,) series
    at: np.ndarray  # (windows,) index in it

    def take(self, rows: np.ndarray) -> "Origins":
        """Return some of the windows."""
        return Origins(self.which[rows], self.at[rows])

    def spread(self, most: int) -> "Origins":
        """Return at most so many of the windows, evenly spread."""
        count = len(self.at)
        return self.take(np.linspace(0, count - 1, min(count, most)).astype(int))

    def batches(self, size: int = 512) -> Iterator["Origins"]:
        """Yield the windows in order, in batches of similar size, at most `size`."""
        for rows in np.array_split(np.arange(len(self.at)), max(1, math.ceil(len(self.at) / size))):
            yield self.take(rows)
