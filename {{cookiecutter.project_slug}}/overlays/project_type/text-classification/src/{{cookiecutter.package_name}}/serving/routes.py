"""What the API answers: texts in, labels with probabilities out."""

from typing import Annotated

from fastapi import APIRouter
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field

from .dependencies import NOT_READY, Model

INFERENCE = Histogram("inference_seconds", "Time the model takes for one request")
PREDICTIONS = Counter("predictions", "Predictions by label", ["label"])
REVIEWS = Counter("predictions_needing_review", "Predictions below the confidence threshold")

Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class PredictRequest(BaseModel):
    texts: Annotated[list[Text], Field(min_length=1, max_length=64)]


class Prediction(BaseModel):
    label: str
    confidence: float
    probabilities: dict[str, float]
    needs_review: bool


class PredictResponse(BaseModel):
    model_version: str
    predictions: list[Prediction]


router = APIRouter()


@router.post("/predict", tags=["model"], responses=NOT_READY)
def predict(body: PredictRequest, model: Model) -> PredictResponse:
    """Label each text; `needs_review` says that the model is too unsure to be taken at its word."""
    # A plain `def` runs in a thread of its own: the event loop stays free while the model works.
    with INFERENCE.time():
        predictions = [Prediction(**answer) for answer in model.predict(body.texts)]
    for prediction in predictions:
        PREDICTIONS.labels(prediction.label).inc()
        REVIEWS.inc(prediction.needs_review)
    return PredictResponse(model_version=model.version, predictions=predictions)
