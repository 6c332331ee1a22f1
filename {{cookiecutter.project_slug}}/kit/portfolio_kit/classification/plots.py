"""Figures of a classifier that stay legible however many classes there are."""

import unicodedata
from collections import Counter
from typing import Protocol

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..markdown import plain
from ..plots import ACCENT, MUTED

WIDTH = 8.3  # inches: 100 pixels each where a README is 830 wide
MAX_CLASSES = 30  # in a matrix of all
WORST = 12  # classes in a matrix of the worst; as many pairs
NAME = 24  # columns of a name
COLUMN = 0.07  # inches
OTHERS = "any other class"


def confusion(matrix: np.ndarray, labels: list[str]) -> Figure:
    """Return a figure of the counts (true classes, answers), with F1 and rows of each class.

    Of more than `MAX_CLASSES` it has the most confused pairs and the matrix of the worst classes.
    """
    names = [_short(label) for label in labels]
    counts = Counter(names)  # numbered where too little is left to tell them apart
    names = [f"{name} #{n}" if counts[name] > 1 else name for n, name in enumerate(names, 1)]
    if len(names) <= MAX_CLASSES:
        left = min(NAME, max(map(_columns, names))) * COLUMN
        cell = min(0.7, (WIDTH - left - 1.6) / len(names))
        size = (left + 1.6 + cell * len(names), left + 0.6 + cell * len(names))
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        _draw_matrix(axes, matrix, names, names, _f1(matrix))
        axes.set_title("Confusion matrix, % of each true class")
        return figure
    rows, f1 = matrix.sum(axis=1), _f1(matrix)
    worst = np.argsort(np.where(rows, f1, np.inf), kind="stable")[:WORST]
    figure, (above, below) = plt.subplots(
        2, figsize=(WIDTH, 9.5), height_ratios=(4, 6), layout="constrained"
    )
    _draw_pairs(above, matrix, names)
    part = matrix[np.ix_(worst, worst)]
    part = np.column_stack([part, rows[worst] - part.sum(axis=1)])
    chosen = [names[index] for index in worst]
    _draw_matrix(below, part, chosen, [*chosen, OTHERS], f1[worst])
    below.set_title(f"The {len(worst)} classes with the lowest F1, % of each true class")
    return figure


class Selective(Protocol):
    """How a threshold of confidence does on the test set."""

    @property
    def target_precision(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def coverage(self) -> float: ...
    @property
    def precision(self) -> float | None: ...


def reliability(confidences: dict[str, pd.Series], is_right: pd.Series, bins: int) -> Figure:
    """Return a figure of the share of right answers by confidence, the final one last."""
    figure, axes = plt.subplots(figsize=(5, 5))
    for (name, confidence), color in zip(confidences.items(), (MUTED, ACCENT), strict=True):
        place = (confidence * bins).astype(int).clip(upper=bins - 1)
        groups = pd.DataFrame({"x": confidence, "y": is_right}).groupby(place)
        x, y = groups.mean().to_numpy(float).T
        axes.plot(x, y, color=color, label=name)
        axes.scatter(x, y, 300 * groups.size() / len(is_right), color=color)
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="perfect")
    axes.set(xlabel="confidence", ylabel="share of right answers", title="Reliability")
    axes.legend(loc="upper left", frameon=False)
    return figure


def coverage(curves: dict[str, tuple[np.ndarray, np.ndarray]], chosen: Selective) -> Figure:
    """Return a figure of precision by coverage, both (rows,), the test set's curve last."""
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for (name, (share, precision)), color in zip(curves.items(), (MUTED, ACCENT), strict=True):
        shown = share >= 0.1  # the share jumps on few rows
        axes.plot(share[shown], precision[shown], color=color, label=name)
    axes.axhline(chosen.target_precision, color="black", linewidth=1, linestyle=":")
    if chosen.precision is not None:
        label = f"threshold {chosen.threshold:.2f}"
        axes.plot(chosen.coverage, chosen.precision, "o", color="black", label=label)
    axes.set(xlabel="coverage: share of texts answered", ylabel="share of right answers")
    axes.set_title("Selective prediction")
    axes.legend(loc="lower left", frameon=False)
    return figure


def _f1(matrix: np.ndarray) -> np.ndarray:
    occurrences = matrix.sum(axis=0) + matrix.sum(axis=1)
    return 2 * matrix.diagonal() / np.maximum(1, occurrences)


def _draw_matrix(
    axes: Axes, matrix: np.ndarray, names: list[str], answers: list[str], f1: np.ndarray
) -> None:
    rows = matrix.sum(axis=1)
    shares = 100 * matrix / np.maximum(1, rows)[:, None]
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=100, aspect="auto")
    size = 8 if len(names) <= 16 else 7
    for row, column in zip(*np.nonzero(shares.round()), strict=True):
        share = shares[row, column]
        color = "white" if share > 60 else "black"
        axes.text(column, row, f"{share:.0f}", color=color, size=size, ha="center", va="center")
    places = range(len(names))
    turn = {"rotation": 45, "rotation_mode": "anchor"} if len(names) <= 16 else {"rotation": 90}
    side = "right" if len(names) <= 16 else "center"
    axes.set_xticks(range(len(answers)), answers, size=size, ha=side, **turn)
    axes.set_yticks(places, names, size=size)
    axes.set(xlabel="answer", ylabel="true class")
    right = axes.secondary_yaxis("right")
    scores = [f"F1 {score:.2f}, n={count:,}" for score, count in zip(f1, rows, strict=True)]
    right.set_yticks(places, scores, size=size)
    for side_axes in (axes, right):
        side_axes.tick_params(length=0)
        side_axes.spines[:].set_visible(False)


def _draw_pairs(axes: Axes, matrix: np.ndarray, names: list[str]) -> None:
    mistakes = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:WORST]
    pairs = [(*np.unravel_index(place, matrix.shape), mistakes.flat[place]) for place in order]
    pairs = [pair for pair in pairs if pair[2]]
    places, rows = np.arange(len(pairs)), matrix.sum(axis=1)
    bars = axes.barh(places, [count for _, _, count in pairs], color=ACCENT)
    counts = [f"{count:,} of {rows[true]:,}" for true, _, count in pairs]
    axes.bar_label(bars, counts, padding=4, size=8)
    labels = [f"{names[true]} → {names[answer]}" for true, answer, _ in pairs]
    axes.set_yticks(places, labels, size=8)
    axes.set(xlabel="test rows", ylim=(WORST - 0.4, -0.6))
    axes.margins(x=0.15)
    axes.set_title("The most confused pairs: true class → answer")


def _short(name: str) -> str:
    """Return a name on one line, with its middle left out if it is too long."""
    name = plain(name, len(name) + 1)
    if _columns(name) <= NAME:
        return name
    start, end = name, name
    while _columns(start) > NAME * 2 // 3:
        start = start[:-1]
    while _columns(end) > NAME // 3 - 1:
        end = end[1:]
    return f"{start.rstrip()}…{end.lstrip()}"


def _columns(name: str) -> int:
    """Return the width of a name in letters; those of East Asia are twice as wide."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in name)
