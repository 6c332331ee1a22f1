"""Rolling origins: the windows of a block of time."""

import numpy as np

from portfolio_kit.timegrid.origins import Origins

from ..features import Windows


def origins(
    windows: Windows, first: np.datetime64 | None, end: np.datetime64 | None, step_size: int = 1
) -> Origins:
    """Return every `step_size`th origin of each series from `first` on.

    Each horizon is over before `end` (None: before its series ends), and no origin is so early that
    its history would begin before its series.
    """
    shape = windows.shape
    found: list[np.ndarray] = []
    for number, one in enumerate(windows.series):
        begin = 0 if first is None else int(-((one.start - first) // shape.step))
        steps = len(one.y) if end is None else min(len(one.y), int((end - one.start) // shape.step))
        places = np.arange(max(begin, shape.history), steps - shape.horizon + 1, step_size)
        found.append(np.stack([np.full_like(places, number), places]))
    return Origins(*np.concatenate(found, axis=1))
