"""What the model sees of a series: one place, so training, evaluation and serving agree.

A window is a series seen from an origin, the first moment that is forecast. It holds nothing that
is not known there: values before the origin, past covariates once their delay is over, and the
calendar and future covariates of the moments that are forecast.
"""

from typing import NamedTuple

import numpy as np

from portfolio_kit.timegrid.grid import Grid
from portfolio_kit.timegrid.series import Series

from .params import Params

# The quantiles of each step, in order.
LEVELS = {"lo_95": 0.025, "lo_80": 0.1, "y_hat": 0.5, "hi_80": 0.9, "hi_95": 0.975}
MEDIAN = list(LEVELS).index("y_hat")


class Shape(Grid):
    """How windows are cut out of series."""

    season_lengths: list[int]
    seasons: int  # longest ones that are averaged
    past_delay: int

    @property
    def shortest(self) -> int:
        """Return the length of the shortest season in steps."""
        return min(self.season_lengths)

    @property
    def longest(self) -> int:
        """Return the length of the longest season in steps."""
        return max(self.season_lengths)

    @property
    def history(self) -> int:
        """Return how many steps before its origin a window begins.

        One longest season is compared with those before it, and the newest past covariates must be
        among the steps.
        """
        return max(self.longest * (self.seasons + 1), self.past_delay + 1)


def shape_of(params: Params, yearly: bool, offsets: bool) -> Shape:
    """Return the shape that the parameters ask for, and the data allow."""
    kept = {"freq", "timezone", "holidays", "past_delay", "past_columns", "future_columns"}
    return Shape(
        horizon=params.horizon,
        season_lengths=params.season_lengths,
        seasons=params.model.seasons,
        yearly=yearly,
        offsets=offsets,
        **params.data.model_dump(include=kept),
    )


class Inputs(NamedTuple):
    """What the network takes; n is the number of windows."""

    history: np.ndarray  # (n, history) float64: large values may differ by little
    # (n, horizon, features) float32: newest past covariates, the same for all; calendar; future
    # covariates
    steps: np.ndarray


class Windows:
    """Cuts windows out of series; calendars are computed once."""

    def __init__(self, series: list[Series], shape: Shape) -> None:
        self.series, self.shape = series, shape
        self._offsets = np.cumsum([0, *(len(one.y) + shape.horizon for one in series)])
        self._y = np.full(self._offsets[-1], np.nan)
        self._observed = np.zeros(self._offsets[-1], dtype=bool)
        steps, past = [], []
        for one, offset in zip(series, self._offsets, strict=False):
            length = len(one.y) + shape.horizon
            self._y[offset : offset + len(one.y)] = one.y
            self._observed[offset : offset + len(one.y)] = one.observed
            first = min(shape.history, length)  # no origin is earlier
            calendar = shape.calendar.features(one.start + shape.step * np.arange(first, length))
            days = calendar.shape[1]
            features = np.zeros((length, days + len(shape.future_columns)), dtype=np.float32)
            features[first:, :days] = calendar
            if shape.future_columns:  # those that are not known stay at their last value
                known = np.minimum(np.arange(length), len(one.future) - 1)
                features[:, days:] = one.future[known]
            steps.append(features)
            past.append(np.zeros((length, len(shape.past_columns)), dtype=np.float32))
            past[-1][: len(one.past)] = one.past
        self._steps, self._past = np.concatenate(steps), np.concatenate(past)

    def inputs(self, which: np.ndarray, origins: np.ndarray) -> Inputs:
        """Return the inputs of windows: of series `which` (n,), from index `origins` (n,) on."""
        at = self._offsets[which] + origins
        before, after = np.arange(-self.shape.history, 0), np.arange(self.shape.horizon)
        newest = self._past[at - 1 - self.shape.past_delay]
        repeated = np.repeat(newest[:, None], self.shape.horizon, axis=1)
        return Inputs(
            self._y[at[:, None] + before],
            np.concatenate([repeated, self._steps[at[:, None] + after]], axis=2),
        )

    def targets(self, which: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (n, horizon), and whether each was observed and not filled in."""
        at = self._ahead(which, origins)
        return self._y[at], self._observed[at]

    def past_ahead(self, which: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Return the past covariates (n, horizon, covariates) of the moments that are forecast.

        Nobody knows them at the origin; they measure what knowing them would be worth.
        """
        return self._past[self._ahead(which, origins)]

    def _ahead(self, which: np.ndarray, origins: np.ndarray) -> np.ndarray:
        return (self._offsets[which] + origins)[:, None] + np.arange(self.shape.horizon)
