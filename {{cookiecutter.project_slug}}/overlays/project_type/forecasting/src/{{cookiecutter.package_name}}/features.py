"""What the model is shown of a series: one place, so that training, evaluation and serving agree.

A window is a series seen from an origin, the first moment that is forecast. It holds nothing that
would not be known there: targets before the origin, past covariates once their delay is over, and
the calendar and future covariates of the moments that are forecast.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .params import Params
from .timegrid import Calendar, parse_freq

ONLY_SERIES = "y"  # the name of the one series that has none


@dataclass(frozen=True)
class Series:
    """One series: its values at every moment of a grid from `start` on."""

    name: str
    start: np.datetime64  # seconds
    y: np.ndarray  # float64 (moments,)
    past: np.ndarray  # float32 (moments, past covariates)
    future: np.ndarray  # float32 (moments, or more, future covariates)
    observed: np.ndarray  # bool (moments,); False: filled


@dataclass(frozen=True)
class Shape:
    """How windows are cut, and what a step of them is."""

    horizon: int
    season_lengths: list[int]
    seasons: int  # longest ones that are averaged
    freq: str
    timezone: str | None
    holidays: str | None
    past_delay: int
    past_columns: list[str]
    future_columns: list[str]
    yearly: bool  # the training block has a whole year: what it has not seen, nobody can learn

    @property
    def shortest(self) -> int:
        """Return the length of the shortest season, in steps."""
        return min(self.season_lengths)

    @property
    def longest(self) -> int:
        """Return the length of the longest season, in steps."""
        return max(self.season_lengths)

    @property
    def history(self) -> int:
        """Return how many steps before its origin a window begins: one longest season, which is
        compared with those before it; and the newest past covariates have to be in it.
        """
        return max(self.longest * (self.seasons + 1), self.past_delay + 1)

    @property
    def calendar(self) -> Calendar:
        """Return the calendar of the moments that are forecast."""
        return Calendar(self.freq, self.timezone, self.holidays, self.yearly)


def shape_of(params: Params, yearly: bool) -> Shape:
    """Return the shape that the parameters ask for, with or without the time of year."""
    kept = {"freq", "timezone", "holidays", "past_delay", "past_columns", "future_columns"}
    return Shape(
        horizon=params.horizon,
        season_lengths=params.season_lengths,
        seasons=params.model.seasons,
        yearly=yearly,
        **params.data.model_dump(include=kept),
    )


class Inputs(NamedTuple):
    """What the network takes, float32; n is the number of windows."""

    history: np.ndarray  # (n, history)
    # (n, horizon, features): newest past covariates, the same for all; calendar; future covariates
    steps: np.ndarray


class Windows:
    """Cuts windows out of series; calendars are computed once."""

    def __init__(self, series: list[Series], shape: Shape) -> None:
        self.series, self.shape = series, shape
        step = parse_freq(shape.freq)
        self._offsets = np.cumsum([0, *(len(one.y) + shape.horizon for one in series)])
        self._y = np.full(self._offsets[-1], np.nan)
        self._observed = np.zeros(self._offsets[-1], dtype=bool)
        steps, past = [], []
        for one, offset in zip(series, self._offsets, strict=False):
            length = len(one.y) + shape.horizon
            self._y[offset : offset + len(one.y)] = one.y
            self._observed[offset : offset + len(one.y)] = one.observed
            first = min(shape.history, length)  # no origin is earlier
            moments = one.start + step * np.arange(first, length)
            calendar = shape.calendar.features(moments)
            features = np.zeros(
                (length, calendar.shape[1] + len(shape.future_columns)), dtype=np.float32
            )
            features[first:, : calendar.shape[1]] = calendar
            if shape.future_columns:  # beyond what is known of them they stay as they were last
                known = np.minimum(np.arange(length), len(one.future) - 1)
                features[:, calendar.shape[1] :] = one.future[known]
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
            self._y[at[:, None] + before].astype(np.float32),
            np.concatenate([repeated, self._steps[at[:, None] + after]], axis=2),
        )

    def targets(self, which: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what came, (n, horizon), and whether it was observed, or filled in later."""
        at = (self._offsets[which] + origins)[:, None] + np.arange(self.shape.horizon)
        return self._y[at], self._observed[at]

    def before(self, which: int, origin: int) -> Series:
        """Return all that a window knows of its series at its origin, as a series."""
        one, step = self.series[which], parse_freq(self.shape.freq)
        first = max(0, origin - self.shape.history)
        return Series(
            name=one.name,
            start=one.start + step * first,
            y=one.y[first:origin],
            past=one.past[first:origin],
            future=one.future[first : origin + self.shape.horizon],
            observed=one.observed[first:origin],
        )

    def past_ahead(self, which: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Return past covariates of the moments that are forecast, (n, horizon, covariates): what
        nobody knows at the origin, to measure what knowing it would be worth.
        """
        at = (self._offsets[which] + origins)[:, None] + np.arange(self.shape.horizon)
        return self._past[at]
