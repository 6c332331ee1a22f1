"""Rolling origins: the windows of a block of time."""

import math
from collections.abc import Iterator

import numpy as np

from ..features import Windows
from ..timegrid import parse_freq

Origins = tuple[np.ndarray, np.ndarray]  # series and index of each window


def origins(
    windows: Windows, first: np.datetime64 | None, end: np.datetime64 | None, step_size: int = 1
) -> Origins:
    """Return series and index, each (windows,), of every `step_size`th origin from `first` on.

    Each horizon is over before `end` (None: before its series ends), and no origin is so near to
    the beginning of its series that its history would reach beyond it.
    """
    shape, step = windows.shape, parse_freq(windows.shape.freq)
    found: list[np.ndarray] = []
    for number, one in enumerate(windows.series):
        begin = 0 if first is None else int(-((one.start - first) // step))
        steps = len(one.y) if end is None else min(len(one.y), int((end - one.start) // step))
        places = np.arange(max(begin, shape.history), steps - shape.horizon + 1, step_size)
        found.append(np.stack([np.full_like(places, number), places]))
    which, places = np.concatenate(found, axis=1)
    return which, places


def spread(whole: Origins, most: int) -> Origins:
    """Return at most so many of the windows, evenly spread; all of them if they are no more."""
    which, at = whole
    rows = np.linspace(0, len(at) - 1, min(len(at), most)).astype(int)
    return which[rows], at[rows]


def batches(whole: Origins, size: int = 512) -> Iterator[Origins]:
    """Yield the windows in order, in batches of about one size, `size` at most."""
    which, at = whole
    parts = max(1, math.ceil(len(at) / size))
    yield from zip(np.array_split(which, parts), np.array_split(at, parts), strict=True)
