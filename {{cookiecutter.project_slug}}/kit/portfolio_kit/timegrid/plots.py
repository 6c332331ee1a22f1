"""Fan charts: forecasts with their intervals over what was observed."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from ..plots import ACCENT, MUTED

WEEK = np.timedelta64(7, "D").astype("timedelta64[s]")


def rank_weeks(
    which: np.ndarray, first: np.ndarray, error: Callable[[np.ndarray], float]
) -> dict[str, np.ndarray]:
    """Return the windows of the best, the median and the worst week of one series each.

    `which` is the series of each window, `first` its first moment (windows,); `error` takes
    windows. Weeks with few windows are left out.
    """
    week = ((first - first.min()) // WEEK).astype(int)
    groups: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(which.tolist(), week.tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    full = max(map(len, groups.values()))
    ranked = sorted((np.array(g) for g in groups.values() if 2 * len(g) > full), key=error)
    return {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}


def draw_fans(axes: Axes, moments: np.ndarray, y: np.ndarray, quantiles: np.ndarray) -> None:
    """Draw the values, and the forecasts of windows that do not overlap.

    moments and y are (windows, horizon), quantiles (windows, horizon, 5).
    """
    end = None
    for when, values, fan in zip(moments, y, quantiles, strict=True):
        if end is not None and when[0] <= end:
            continue
        labels = ("95% interval", "80% interval", "forecast", "observed")
        outer, inner, middle, observed = labels if end is None else (None,) * 4
        end = when[-1]
        lowest, low, median, high, highest = fan.T
        for bottom, top, alpha, label in ((lowest, highest, 0.15, outer), (low, high, 0.3, inner)):
            axes.fill_between(
                when, bottom, top, color=ACCENT, alpha=alpha, linewidth=0, label=label
            )
        axes.plot(when, median, color=ACCENT, label=middle)
        axes.plot(when, values, color="black", linewidth=1, label=observed)
        axes.axvline(when[0], color=MUTED, linewidth=0.8)
    axes.tick_params(axis="x", labelsize=8)
