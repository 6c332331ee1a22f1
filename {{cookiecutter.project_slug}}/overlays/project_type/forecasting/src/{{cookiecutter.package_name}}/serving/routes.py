"""What the API answers: the history of series in, how they go on with intervals out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from ..features import ONLY_SERIES, Series, Shape
from ..timegrid import parse_freq, time_zone
from .dependencies import REFUSALS, Keep, Model, Queue, Refusal, Responses
from .predictor import Predictor, Question, rows_of, written

FORECASTS = Counter("forecasts", "Series forecast, by where their history came from", ["history"])
STEPS = Histogram("forecast_steps", "Steps asked for", buckets=(1, 12, 24, 48, 96, 168, 336, 480))
MAX_STEPS = 480
UNKNOWN: Responses = {404: {"model": Refusal, "description": "There is no such series"}}

LARGEST = 1e30  # of a number that the model can compute with
Number = Annotated[float, Field(strict=True, gt=-LARGEST, lt=LARGEST)]


class Ahead(TypedDict):
    """One moment, with the covariates that are known in advance as further keys.

    A dictionary, as there are hundreds in a request: an object for each takes ten times as long.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    unique_id: NotRequired[str]
    ds: datetime


class Record(Ahead):
    """One moment of one series; further keys are covariates of both kinds."""

    y: Number


class ForecastRequest(BaseModel):
    history: Annotated[list[Record], Field(min_length=1)] | None = None
    future: list[Ahead] = []
    h: Annotated[int, Field(strict=True, ge=1, le=MAX_STEPS)] | None = None
    level: Annotated[list[Literal[80, 95]], Field(max_length=2)] = [80, 95]


class Step(TypedDict):
    unique_id: str
    ds: str
    y_hat: float
    lo_80: NotRequired[float]
    hi_80: NotRequired[float]
    lo_95: NotRequired[float]
    hi_95: NotRequired[float]


class ForecastResponse(BaseModel):
    model_version: str
    forecast: list[Step]
    warning: str | None


class HistoryResponse(BaseModel):
    history: list[dict[str, str | float]]
    horizon: int
    freq: str


router = APIRouter()


async def each_once(request: Request) -> None:
    """Answer 422 for a parameter that an address has twice: which one is meant?"""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise HTTPException(422, [{"loc": ["query", name], "msg": "is there twice"}])
        seen.add(name)


@router.get(
    "/history", tags=["model"], responses={**UNKNOWN, **REFUSALS}, dependencies=[Depends(each_once)]
)
async def history(
    model: Model, unique_id: str | None = None, steps: Annotated[int, Query(ge=0)] = 0
) -> HistoryResponse:
    """Return the end of a stored series (by default the first), as `POST /forecast` takes it."""
    shape = model.shape
    series = model.stored.get(unique_id or next(iter(model.stored)))
    if series is None:
        known = ", ".join(list(model.stored)[:5])
        raise HTTPException(404, f"There is no series {unique_id!r:.40}; there are {known}.")
    rows: list[dict[str, str | float]] = []
    for row in range(max(0, len(series.y) - steps) if steps else 0, len(series.y)):
        moment = series.start + row * parse_freq(shape.freq)
        rows.append({"ds": written(moment, shape), "y": float(series.y[row])})
        rows[-1] |= zip(shape.past_columns, map(float, series.past[row]), strict=True)
        rows[-1] |= zip(shape.future_columns, map(float, series.future[row]), strict=True)
    return HistoryResponse(history=rows, horizon=shape.horizon, freq=shape.freq)


@router.post("/forecast", tags=["model"], responses=REFUSALS)
async def forecast(
    body: ForecastRequest, model: Model, queue: Queue, keep: Keep
) -> ForecastResponse:
    """Say how each series goes on: the one given, or without a history those in store."""
    shape = model.shape
    h = body.h or shape.horizon
    stored, given = list(model.stored.values()), body.history
    series = stored if given is None else series_of(given, model)
    warnings = []
    if body.future:
        series = with_future(series, body.future, h, shape)
    elif shape.future_columns:
        warnings.append(
            f"The future has no {', '.join(shape.future_columns)} of the steps ahead: they are "
            "taken to stay as they were last."
        )
    questions = [Question(one, h, shape.horizon) for one in series]
    quantiles = await queue.submit(questions)
    keep(questions, quantiles)
    FORECASTS.labels("stored" if given is None else "given").inc(len(questions))
    STEPS.observe(h)
    kept = ["ds", "y_hat", *(f"{end}_{level}" for level in body.level for end in ("lo", "hi"))]
    steps: list[Any] = [
        {"unique_id": question.series.name, **{name: row[name] for name in kept}}
        for question, values in zip(questions, quantiles, strict=True)
        for row in rows_of(question, values, shape, model.levels)
    ]
    if h > shape.horizon:
        warnings.append(
            f"The model was trained for {shape.horizon} steps; those beyond are forecast from its "
            "own forecasts, and their intervals are too narrow."
        )
    return ForecastResponse(
        model_version=model.version, forecast=steps, warning=" ".join(warnings) or None
    )


def series_of(history: list[Record], model: Predictor) -> list[Series]:
    """Return the series of a request, or answer 422 that names the row and the fix."""
    shape = model.shape
    series = []
    for name, rows in _rows_by_series(history).items():
        moments = _moments([history[row]["ds"] for row in rows], shape.timezone)
        _check_steps("history", rows, moments, shape)
        if len(rows) < shape.history:
            raise _unfit(
                ("history", rows[0], "ds"),
                f"series {name!r:.40} has {len(rows)} rows and the model looks {shape.history} "
                "steps back; give at least as many",
            )
        y = np.array([history[row]["y"] for row in rows])
        if model.positive and (y <= 0).any():
            row = rows[int(np.argmax(y <= 0))]
            raise _unfit(("history", row, "y"), "is not above zero; this model needs it to be")
        past, future = (
            _covariates("history", history, rows, names)
            for names in (shape.past_columns, shape.future_columns)
        )
        observed = np.ones(len(rows), dtype=bool)
        series.append(Series(name, moments[0], y, past, future, observed))
    return series


def with_future(series: list[Series], ahead: list[Ahead], h: int, shape: Shape) -> list[Series]:
    """Return the series with the future covariates of the `h` steps ahead, or answer 422."""
    if not shape.future_columns:
        raise _unfit(("future",), "has to be left out; the model knows no covariates in advance")
    rows_by_series = _rows_by_series(ahead)
    longer = []
    for one in series:
        rows = rows_by_series.get(one.name, [])[:h]
        if len(rows) < h:
            raise _unfit(
                ("future",),
                f"series {one.name!r:.40} has {len(rows)} rows here; give "
                f"{', '.join(shape.future_columns)} of the {h} steps after the history",
            )
        step = parse_freq(shape.freq)
        first = one.start + len(one.y) * step
        moments = _moments([ahead[row]["ds"] for row in rows], shape.timezone, first - step)
        if moments[0] != first:
            raise _unfit(
                ("future", rows[0], "ds"), f"has to be {first}, the step after the history"
            )
        _check_steps("future", rows, moments, shape)
        known = _covariates("future", ahead, rows, shape.future_columns)
        longer.append(replace(one, future=np.concatenate([one.future[: len(one.y)], known])))
    for name in rows_by_series.keys() - {one.name for one in series}:
        raise _unfit(
            ("future", rows_by_series[name][0], "unique_id"),
            f"series {name!r:.40} has no history here; give one, or leave it out",
        )
    return longer


def _rows_by_series(records: Sequence[Record | Ahead]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        rows.setdefault(record.get("unique_id", ONLY_SERIES), []).append(row)
    return rows


def _moments(
    given: list[datetime], timezone: str | None, after: np.datetime64 | None = None
) -> np.ndarray:
    """Return times as the model's grid has them: UTC if it knows a zone, else as they are.

    Of two local times that are alike when clocks go back, the first is the earlier one, unless that
    is not after the time before it (for the first row: `after`).
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


def _check_steps(part: str, rows: list[int], moments: np.ndarray, shape: Shape) -> None:
    """Answer 422 unless each moment is one step after the one before it."""
    step, taken = parse_freq(shape.freq), np.diff(moments)
    wrong = np.flatnonzero(taken != step)
    if not len(wrong):
        return
    where = (part, rows[wrong[0] + 1], "ds")
    seconds, expected = int(taken[wrong[0]].astype(int)), int(step.astype(int))
    if seconds < 0:
        raise _unfit(where, "is before the row above; sort the rows by ds")
    if seconds == 0:
        raise _unfit(where, "is the time of the row above; give each time once")
    if (taken == taken[0]).all() or seconds % expected:
        raise _unfit(
            where,
            f"is {taken[wrong[0]]} after the row above; the model's steps are of {shape.freq}",
        )
    missing = seconds // expected - 1
    raise _unfit(
        where,
        f"leaves out {missing} step{'s' * (missing > 1)} of {shape.freq}; give what is missing",
    )


def _covariates(
    part: str, records: Sequence[Record | Ahead], rows: list[int], names: list[str]
) -> np.ndarray:
    """Return covariates (rows, names), or answer 422."""
    values = np.empty((len(rows), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        found: list[Any] = [records[row].get(name) for row in rows]
        fit = [type(value) in (int, float) and abs(value) < LARGEST for value in found]
        if not all(fit):
            raise _unfit(
                (part, rows[fit.index(False)], name),
                "is missing or no number; the model was trained with it",
            )
        values[:, column] = found
    return values


def _unfit(where: tuple[str | int, ...], message: str) -> HTTPException:
    return HTTPException(422, [{"loc": ["body", *map(str, where)], "msg": message}])
