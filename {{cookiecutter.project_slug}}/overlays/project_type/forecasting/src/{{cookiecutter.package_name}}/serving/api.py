"""The API's own routes: the history of series in, forecasts with intervals out."""

from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Depends
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from portfolio_kit.serving.dependencies import REJECTIONS, Keep, Queue, loaded
from portfolio_kit.timegrid import api
from portfolio_kit.timegrid.requests import SeriesRequest, check_finite, with_future
from portfolio_kit.timegrid.series import Question

from ..predictor import Predictor, rows_of

FORECASTS = Counter("forecasts", "Series forecast, by where their history came from", ["history"])
STEPS = Histogram("forecast_steps", "Steps asked for", buckets=(1, 3, 10, 30, 100, 300, 1000))
BEYOND = Counter("forecasts_beyond_horizon", "Requests for more steps than the model's horizon")
MAX_STEPS = 1_000  # the longest horizon

Model = Annotated[Predictor, Depends(loaded)]


class ForecastRequest(SeriesRequest):
    h: Annotated[int, Field(strict=True, ge=1, le=MAX_STEPS)] | None = None
    level: list[Literal[80, 95]] = Field([80, 95], max_length=2)


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


router = APIRouter(tags=["model"])
router.include_router(api.router)


@router.post("/forecast", responses=REJECTIONS)
async def forecast(
    body: ForecastRequest, model: Model, queue: Queue, keep: Keep
) -> ForecastResponse:
    """Continue each series: those in the request or, without a history, the stored ones, or one."""
    shape = model.shape
    h = body.h or shape.horizon
    series = body.series(model.stored, shape, shape.history, model.manifest.positive)
    warnings = []
    if body.future:
        series = with_future(series, body.future, h, shape)
    elif shape.future_columns:
        warnings.append(
            f"The request has no {', '.join(shape.future_columns)} for the steps ahead; their last "
            "values are used."
        )
    if h > shape.horizon:
        warnings.append(
            f"The model was trained for {shape.horizon} steps; later ones are forecast from its "
            "own forecasts, and their intervals are too narrow."
        )
    questions = [Question(one, h, shape.horizon) for one in series]
    answers = await queue.submit(questions)
    check_finite(questions, answers)
    keep(questions, answers)
    FORECASTS.labels("stored" if body.history is None else "given").inc(len(questions))
    STEPS.observe(h)
    BEYOND.inc(int(h > shape.horizon))
    wanted = ["ds", "y_hat", *(f"{end}_{level}" for level in body.level for end in ("lo", "hi"))]
    steps: list[Any] = [
        {"unique_id": question.series.name, **{name: row[name] for name in wanted}}
        for question, quantiles in zip(questions, answers, strict=True)
        for row in rows_of(question, quantiles, shape)
    ]
    return ForecastResponse(
        model_version=model.version, forecast=steps, warning=" ".join(warnings) or None
    )
