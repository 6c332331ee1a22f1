"""The API's own route: texts in, labels with probabilities out."""

from typing import Annotated

from fastapi import APIRouter, Depends
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field

from portfolio_kit.classification.most_probable import TopK, most_probable
from portfolio_kit.serving.bodies import Body, Text
from portfolio_kit.serving.dependencies import REJECTIONS, Keep, Queue, loaded

from ..predictor import Predictor

PREDICTIONS = Counter("predictions", "Predictions by label", ["label"])
CONFIDENCE = Histogram(
    "prediction_confidence", "Confidence of predictions", buckets=[n / 10 for n in range(1, 11)]
)
ABSTENTIONS = Counter("predictions_needing_review", "Predictions below the confidence threshold")

Model = Annotated[Predictor, Depends(loaded)]


class PredictRequest(Body):
    texts: Annotated[list[Text], Field(min_length=1, max_length=64)]
    top_k: TopK = None


class Prediction(BaseModel):
    label: str
    confidence: float
    probabilities: dict[str, float]
    needs_review: bool


class PredictResponse(BaseModel):
    model_version: str
    predictions: list[Prediction]


router = APIRouter()


@router.post("/predict", tags=["model"], responses=REJECTIONS)
async def predict(body: PredictRequest, model: Model, queue: Queue, keep: Keep) -> PredictResponse:
    """Label each text; with `needs_review` the model abstains and a person should decide."""
    found = await queue.submit(body.texts)
    keep(body.texts, found)
    shown = most_probable(found, body.top_k)
    answer = PredictResponse(model_version=model.version, predictions=shown)
    for prediction in answer.predictions:
        PREDICTIONS.labels(prediction.label).inc()
        CONFIDENCE.observe(prediction.confidence)
        ABSTENTIONS.inc(prediction.needs_review)
    return answer
