"""Series in the body of a request: parsed, checked, and rejected with the row and the fix."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

import numpy as np
from fastapi import HTTPException
from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ..serving.bodies import Body
from . import iso
from .calendar import time_zone
from .frequency import freq_of, is_daily
from .grid import Grid
from .series import LARGEST, ONLY_SERIES, Question, Series, name_of

Number = Annotated[float, Field(strict=True, gt=-LARGEST, lt=LARGEST)]


def _time(given: Any) -> datetime:
    try:
        return iso.parse(given if isinstance(given, str) else "")
    except ValueError as error:
        raise PydanticCustomError("time", "is {reason}", {"reason": str(error)}) from None


# pydantic's own datetime takes numbers, and 20240501 for a number of seconds.
Time = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]


class FutureRow(TypedDict):
    """One moment ahead, with the covariates that are known in advance as further keys.

    A dictionary, because a request has hundreds: an object for each takes ten times as long.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    unique_id: NotRequired[str]
    ds: Time


class HistoryRow(FutureRow):
    """One past moment of one series; further keys are covariates of both kinds."""

    y: Number


Rows = Sequence[HistoryRow | FutureRow]


class SeriesRequest(Body):
    """Series with their history or, without one, stored ones: all, or that of `unique_id`."""

    unique_id: str | None = None
    history: Annotated[list[HistoryRow], Field(min_length=1)] | None = None
    future: list[FutureRow] = Field(default_factory=list)

    def series(
        self, stored: Mapping[str, Series], grid: Grid, at_least: int, positive: bool
    ) -> list[Series]:
        """Return the series asked for; answers 422 for an unknown one, and as `series_of` does."""
        if self.unique_id is None:
            if self.history is None:
                return [*stored.values()]
            return series_of(self.history, grid, at_least, positive)
        if self.history is not None:
            raise invalid(("unique_id",), "asks for a stored series; leave it or the history out")
        name = name_of(self.unique_id)
        if name not in stored:
            known = ", ".join(map(repr, [*stored][:5]))
            raise invalid(
                ("unique_id",), f"no series {name!r:.40} is stored; there are {known:.200}"
            )
        return [stored[name]]


def series_of(history: list[HistoryRow], grid: Grid, at_least: int, positive: bool) -> list[Series]:
    """Return the series of a request, each with `at_least` steps; answers 422 if one is invalid.

    With `positive`, values must be above zero.
    """
    _check_rows("history", history, grid)
    series = []
    for name, rows in _rows_by_series(history).items():
        moments = _moments([history[row]["ds"] for row in rows], grid)
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
    _check_rows("future", ahead, grid)
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
        moments = _moments([ahead[row]["ds"] for row in rows], grid, first - grid.step)
        if moments[0] != first:
            must = f"must be {grid.written(first)}, the step after the history"
            raise invalid(("future", rows[0], "ds"), must)
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
    named = {"unique_id": series.name} if series.name != ONLY_SERIES else {}
    rows: list[dict[str, str | float]] = []
    for row, y in enumerate(series.y):
        rows.append({**named, "ds": grid.written(series.start + row * grid.step), "y": float(y)})
        rows[-1] |= zip(grid.past_columns, map(float, series.past[row]), strict=True)
        rows[-1] |= zip(grid.future_columns, map(float, series.future[row]), strict=True)
    return rows


def check_finite(questions: list[Question], answers: list[np.ndarray]) -> None:
    """Answer 422 if a forecast is not finite: JSON has no such numbers, and would say null."""
    for question, answer in zip(questions, answers, strict=True):
        if not np.isfinite(answer).all():
            raise invalid(
                ("history",),
                f"series {question.series.name!r:.40} has values that the model cannot compute a "
                "forecast of; is their unit that of its training data?",
            )


def invalid(where: tuple[str | int, ...], message: str) -> HTTPException:
    """Return a 422 that names a part of the body and says what is wrong with it."""
    return HTTPException(422, [{"loc": ["body", *map(str, where)], "msg": message}])


def _check_rows(part: str, rows: Rows, grid: Grid) -> None:
    """Answer 422 for unknown keys, and for times whose moment or day is unclear."""
    known = {"unique_id", "ds", "y", *grid.past_columns, *grid.future_columns}
    for number, row in enumerate(rows):
        if unknown := row.keys() - known:
            raise invalid(
                (part, number),
                f"has the unknown key {sorted(unknown)[0]!r:.40}; this model takes "
                f"{', '.join(sorted(known))}",
            )
    aware = [row["ds"].tzinfo is not None for row in rows]

    def reject(bad: list[bool], reason: str) -> None:
        if any(bad):
            raise invalid((part, bad.index(True), "ds"), reason)

    naive = [not one for one in aware]
    if any(aware):
        reject(naive, f"is {iso.MIXED}")
    if is_daily(grid.freq):
        if grid.timezone is None and all(aware):
            late = [not iso.begins_day(row["ds"]) for row in rows]
            reject(late if all(late) else [], f"is {iso.NO_DAY}")
    elif grid.zone is None:  # UTC is read as it is written
        shifted = [bool(row["ds"].utcoffset()) for row in rows]
        reject(shifted, "has an offset, which times of the model's data do not have; leave it out")
    elif grid.timezone is None:
        reject(naive, "has no offset, which times of the model's data have; add one, such as Z")


def _rows_by_series(rows: Rows) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(name_of(row.get("unique_id", ONLY_SERIES)), []).append(number)
    return found


def _moments(given: list[datetime], grid: Grid, after: np.datetime64 | None = None) -> np.ndarray:
    """Return times as datetime64[s]: UTC if a zone is known, else as given.

    When clocks go back, an hour of local times comes twice. The first of two equal times is the
    earlier one, unless that is not after the time before it (before the first one: `after`).
    """
    if is_daily(grid.freq) and given[0].tzinfo:
        given = iso.days(given, time_zone(grid.timezone) if grid.timezone else None)
    zone = time_zone(grid.zone) if grid.zone else UTC
    last, seconds = -np.inf if after is None else float(after.astype(int)), []
    for one in given:
        whole = one if one.tzinfo else one.replace(tzinfo=zone)
        if whole.timestamp() <= last:
            whole = whole.replace(fold=1)
        last = whole.timestamp()
        seconds.append(last)
    return np.array(seconds).astype("datetime64[s]")


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
