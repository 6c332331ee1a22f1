"""Rolling origins: the windows of a block of time."""

import numpy as np

from ..features import Windows
from ..timegrid import parse_freq


def origins(
    windows: Windows, first: np.datetime64 | None, end: np.datetime64 | None, step_size: int = 1
) -> tuple[np.ndarray, np.ndarray]:
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
