"""Charts of forecasts with their intervals, and of errors by lead time and group."""

import itertools
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from ..markdown import plain
from ..plots import ACCENT, MUTED
from .slices import OURS, Slice

LINES = ("-", "--", ":", "-.")
MAX_CHARACTERS = 40  # of the name of a series


def fans(
    which: np.ndarray,
    moments: np.ndarray,
    y: np.ndarray,
    quantiles: np.ndarray,
    names: Sequence[str],
    part: np.timedelta64,
    error: Callable[[np.ndarray], float],
    score: str,
    unit: str,
) -> Figure:
    """Return a figure of forecasts in the best, the median and the worst part of the test block.

    which (windows,) numbers the series of each window in `names`, moments and y are (windows,
    horizon), quantiles (windows, horizon, 5). A part has this length; `error` takes windows, and
    `score` is its format. `unit` says what y is.
    """
    parts = rank_parts(which, moments[:, 0], part, error)
    figure, panels = plt.subplots(
        len(parts), 1, figsize=(9, 2.6 * len(parts)), squeeze=False, layout="constrained"
    )
    for axes, (name, rows) in zip(panels[:, 0], parts.items(), strict=True):
        draw_fans(axes, moments[rows], y[rows], quantiles[rows])
        of = f" of {plain(names[which[rows[0]]], MAX_CHARACTERS)}" if len(names) > 1 else ""
        axes.set_title(f"{name} part{of}, {score.format(error(rows))}")
        axes.set_ylabel(plain(unit, MAX_CHARACTERS))
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper right", ncols=4, frameon=False)
    return figure


def rank_parts(
    which: np.ndarray, first: np.ndarray, part: np.timedelta64, error: Callable[[np.ndarray], float]
) -> dict[str, np.ndarray]:
    """Return the windows of the best, the median and the worst part of one series each.

    `which` is the series of each window, `first` its first moment (windows,); `error` takes
    windows. Parts with few windows are left out; there may be fewer than three others.
    """
    number = ((first - first.min()) // part).astype(int)
    groups: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(which.tolist(), number.tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    full = max(map(len, groups.values()))
    ranked = sorted((np.array(g) for g in groups.values() if 2 * len(g) > full), key=error)
    found = {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}
    if len(ranked) > 2:
        return found
    return {"Only": ranked[0]} if len(ranked) == 1 else {n: found[n] for n in ("Best", "Worst")}


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
    locator = AutoDateLocator(maxticks=11)  # with fewer it warns of some ranges
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def lead_time(leads: dict[str, Slice], label: str) -> Figure:
    """Return a figure of each model's error by lead time; `label` names the error."""
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    lines = itertools.cycle(LINES)
    for name in next(iter(leads.values())).error:
        is_ours = name == OURS
        style = {"color": ACCENT, "linewidth": 2} if is_ours else {"color": "#66707a"}
        line = "-" if is_ours else next(lines)
        axes.plot([*map(int, leads)], _errors(leads, name), linestyle=line, label=name, **style)
    axes.set(xlabel="lead time, steps", ylabel=label, ylim=(0, None))
    axes.set_title("Error by lead time")
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def coverage(leads: dict[str, Slice]) -> Figure:
    """Return a figure of the share of values inside the intervals by lead time."""
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for level, color in ((80, ACCENT), (95, "black")):
        shares = [100 * getattr(part, f"coverage_{level}") for part in leads.values()]
        axes.plot([*map(int, leads)], shares, color=color, label=f"{level}% interval")
        axes.axhline(level, color=color, linewidth=1, linestyle=":")
    axes.set(xlabel="lead time, steps", ylabel="values inside, %")
    axes.set_ylim(min(50, axes.get_ylim()[0]), 100)
    axes.set_title("Coverage by lead time")
    axes.legend(frameon=False, loc="lower left")
    return figure


def groups(kinds: dict[str, dict[str, Slice]], label: str, rival: str) -> Figure:
    """Return a figure of the model's error and a rival's, with a panel for each kind of group.

    `label` names the error.
    """
    size = (max(5, 3.6 * len(kinds)), 3.4)
    figure, panels = plt.subplots(1, len(kinds), figsize=size, sharey=True, squeeze=False)
    for axes, (kind, parts) in zip(panels[0], kinds.items(), strict=True):
        places = np.arange(len(parts))
        for name, color, side in ((OURS, ACCENT, -0.2), (rival, MUTED, 0.2)):
            axes.bar(places + side, _errors(parts, name), 0.4, color=color, label=name)
        every = 1 if len(parts) <= 8 else 3
        names = [name[:3] if kind == "weekday" else name for name in parts]
        axes.set_xticks(places[::every], names[::every])
        axes.set_title(f"By {kind}")
    panels[0, 0].set_ylabel(label)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2, frameon=False)
    return figure


def _errors(parts: dict[str, Slice], name: str) -> np.ndarray:
    """Return a model's error by slice, NaN where it is undefined."""
    return np.array([part.error[name] for part in parts.values()], dtype=float)
