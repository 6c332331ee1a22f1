"""Series in the body of a request: parsed, checked, and rejected with the row and the fix."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

import numpy as np
from fastapi import HTTPException
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from .calendar import time_zone
from .frequency import freq_of
from .grid import Grid
from .series import ONLY_SERIES, Series

LARGEST = 1e30  # of a number that a model can compute with
Number = Annotated[float, Field(strict=True, gt=-LARGEST, lt=LARGEST)]


class FutureRow(TypedDict):
    """One moment ahead, with the covariates that are known in advance as further keys.

    A dictionary, because a request has hundreds: an object for each takes ten times as long.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    unique_id: NotRequired[str]
    ds: datetime


class HistoryRow(FutureRow):
    """One past moment of one series; further keys are covariates of both kinds."""

    y: Number


Rows = Sequence[HistoryRow | FutureRow]


def series_of(history: list[HistoryRow], grid: Grid, at_least: int, positive: bool) -> list[Series]:
    """Return the series of a request, each with `at_least` steps; answers 422 if one is invalid.

    With `positive`, values must be above zero.
    """
    series = []
    for name, rows in _rows_by_series(history).items():
        moments = _moments([history[row]["ds"] for row in rows], grid.timezone)
        _check_steps("history", rows, moments, grid)
        if len(rows) < at_least:
            raise invalid(
                ("history", rows[0], "ds"),
                f"series {name!r:.40} has {len(rows)} rows; the model needs at least {at_least}",
            )
        y = np.array([history[row]["y"] for row in rows])
        if positive and (y <= 0).any():
            row = rows[int(np.argmax(y <= 0))]
            raise invalid(("history", row, "y"), "must be above zero for this model")
        past, future = (
            _covariates("history", history, rows, names)
            for names in (grid.past_columns, grid.future_columns)
        )
        observed = np.ones(len(rows), dtype=bool)
        series.append(Series(name, moments[0], y, past, future, observed))
    return series


def with_future(series: list[Series], ahead: list[FutureRow], h: int, grid: Grid) -> list[Series]:
    """Return the series with the future covariates of the `h` steps ahead; answers 422 for others.

    Steps beyond `h` are ignored.
    """
    if not grid.future_columns:
        raise invalid(
            ("future",), "must be left out; this model uses no covariates that are known in advance"
        )
    rows_by_series = _rows_by_series(ahead)
    longer = []
    for one in series:
        rows = rows_by_series.get(one.name, [])[:h]
        if len(rows) < h:
            raise invalid(
                ("future",),
                f"series {one.name!r:.40} has {len(rows)} rows here; give "
                f"{', '.join(grid.future_columns)} of the {h} steps after the history",
            )
        first = one.start + len(one.y) * grid.step
        moments = _moments([ahead[row]["ds"] for row in rows], grid.timezone, first - grid.step)
        if moments[0] != first:
            raise invalid(("future", rows[0], "ds"), f"must be {first}, the step after the history")
        _check_steps("future", rows, moments, grid)
        known = _covariates("future", ahead, rows, grid.future_columns)
        longer.append(replace(one, future=np.concatenate([one.future[: len(one.y)], known])))
    for name in rows_by_series.keys() - {one.name for one in series}:
        raise invalid(
            ("future", rows_by_series[name][0], "unique_id"),
            f"series {name!r:.40} has no history here; add one, or remove the series",
        )
    return longer


def history_of(series: Series, grid: Grid) -> list[dict[str, str | float]]:
    """Return a series as the rows of a history: the inverse of `series_of`."""
    rows: list[dict[str, str | float]] = []
    for row, y in enumerate(series.y):
        rows.append({"ds": grid.written(series.start + row * grid.step), "y": float(y)})
        rows[-1] |= zip(grid.past_columns, map(float, series.past[row]), strict=True)
        rows[-1] |= zip(grid.future_columns, map(float, series.future[row]), strict=True)
    return rows


def invalid(where: tuple[str | int, ...], message: str) -> HTTPException:
    """Return a 422 that names a part of the body and says what is wrong with it."""
    return HTTPException(422, [{"loc": ["body", *map(str, where)], "msg": message}])


def _rows_by_series(rows: Rows) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row.get("unique_id", ONLY_SERIES), []).append(number)
    return found


def _moments(
    given: list[datetime], timezone: str | None, after: np.datetime64 | None = None
) -> np.ndarray:
    """Return times as datetime64[s]: UTC if a zone is known, else as given.

    When clocks go back, an hour of local times comes twice. The first of two equal times is the
    earlier one, unless that is not after the time before it (before the first one: `after`).
    """
    zone = time_zone(timezone) if timezone else UTC
    last, seconds = -np.inf if after is None else float(after.astype(int)), []
    for one in given:
        whole = one if one.tzinfo else one.replace(tzinfo=zone)
        if whole.timestamp() <= last:
            whole = whole.replace(fold=1)
        last = whole.timestamp()
        seconds.append(last)
    return np.floor(seconds).astype("datetime64[s]")


def _check_steps(part: str, rows: list[int], moments: np.ndarray, grid: Grid) -> None:
    """Answer 422 unless each moment is one step after the one before it."""
    taken = np.diff(moments)
    wrong = np.flatnonzero(taken != grid.step)
    if not len(wrong):
        return
    where = (part, rows[wrong[0] + 1], "ds")
    seconds, expected = int(taken[wrong[0]].astype(int)), int(grid.step.astype(int))
    if seconds < 0:
        raise invalid(where, "is before the row above; sort the rows by ds")
    if seconds == 0:
        raise invalid(where, "repeats the time of the row above; give each time once")
    if (taken == taken[0]).all() or seconds % expected:
        raise invalid(
            where,
            f"is {freq_of(taken[wrong[0]])} after the row above; the model's step is {grid.freq}",
        )
    missing = seconds // expected - 1
    raise invalid(
        where, f"skips {missing} step{'s' * (missing > 1)} of {grid.freq}; add what is missing"
    )


def _covariates(part: str, rows: Rows, chosen: list[int], names: list[str]) -> np.ndarray:
    """Return covariates (chosen rows, names); answers 422 if one is not a number."""
    values = np.empty((len(chosen), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        found: list[Any] = [rows[row].get(name) for row in chosen]
        valid = [type(value) in (int, float) and abs(value) < LARGEST for value in found]
        if not all(valid):
            raise invalid(
                (part, chosen[valid.index(False)], name),
                "is missing or not a number; the model was trained with it",
            )
        values[:, column] = found
    return values
