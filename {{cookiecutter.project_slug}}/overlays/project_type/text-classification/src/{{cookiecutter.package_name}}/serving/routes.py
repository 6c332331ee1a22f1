"""What the API answers: texts in, labels with probabilities out."""

from typing import Annotated

from fastapi import APIRouter
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field

from .dependencies import REFUSALS, Keep, Model, Queue

PREDICTIONS = Counter("predictions", "Predictions by label", ["label"])
CONFIDENCE = Histogram(
    "prediction_confidence", "Confidence of predictions", buckets=[n / 10 for n in range(1, 11)]
)
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


@router.post("/predict", tags=["model"], responses=REFUSALS)
async def predict(body: PredictRequest, model: Model, queue: Queue, keep: Keep) -> PredictResponse:
    """Label each text; `needs_review` says that the model is too unsure to be taken at its word."""
    found = await queue.submit(body.texts)
    keep(body.texts, found)
    answer = PredictResponse(model_version=model.version, predictions=found)
    for prediction in answer.predictions:
        PREDICTIONS.labels(prediction.label).inc()
        CONFIDENCE.observe(prediction.confidence)
        REVIEWS.inc(prediction.needs_review)
    return answer
