"""What is scored: windows of the test block."""

from typing import NamedTuple

import numpy as np

from portfolio_kit.timegrid.origins import Origins

from ..data.rolling import origins
from ..data.validation import Boundaries
from ..features import Windows
from .scores import naive_error


class Test(NamedTuple):
    """Windows of the test block, ordered by series and time."""

    origins: Origins
    moments: np.ndarray  # (windows, horizon) datetime64[s]
    y: np.ndarray  # (windows, horizon); NaN: filled in, so not scored
    scale: np.ndarray  # (windows,) of the mean absolute scaled error
    names: tuple[str, ...]  # of the series, which `origins` numbers

    @property
    def scales(self) -> dict[str, float]:
        """Return the scale of each series."""
        numbers, first = np.unique(self.origins.which, return_index=True)
        return {self.names[n]: float(self.scale[at]) for n, at in zip(numbers, first, strict=True)}


def cut(windows: Windows, starts: Boundaries, step_size: int) -> Test:
    """Return the windows of the test block, whose origins are `step_size` steps apart.

    `starts` is when the validation and the test block begin.
    """
    shape = windows.shape
    found = origins(windows, starts[1], None, step_size)
    y, observed = windows.targets(*found)
    begin = np.array([one.start for one in windows.series])[found.which]
    moments = (begin + found.at * shape.step)[:, None] + shape.step * np.arange(shape.horizon)
    training = [
        np.where(one.observed, one.y, np.nan)[: int((starts[0] - one.start) // shape.step)]
        for one in windows.series
    ]
    naive = np.array([naive_error(values, shape.longest) for values in training])
    names = tuple(one.name for one in windows.series)
    return Test(found, moments, np.where(observed, y, np.nan), naive[found.which], names)
