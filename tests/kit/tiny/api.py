"""The routes: texts in, labels out; and one that changes something."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from portfolio_kit.serving.access import writing
from portfolio_kit.serving.dependencies import REJECTIONS, Keep, Queue, Rejection, loaded

from .predictor import Predictor

Model = Annotated[Predictor, Depends(loaded)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class Question(BaseModel):
    texts: Annotated[list[Text], Field(min_length=1, max_length=64)]


class Label(BaseModel):
    label: str
    score: float


class Answer(BaseModel):
    model_version: str
    labels: list[Label]


router = APIRouter()


@router.post("/label", tags=["model"], responses=REJECTIONS)
async def label(body: Question, model: Model, queue: Queue, keep: Keep) -> Answer:
    """Tell for each text whether it is long or short."""
    found = await queue.submit(body.texts)
    keep(body.texts, found)
    return Answer(model_version=model.version, labels=found)


FORBIDDEN = {
    403: {"model": Rejection, "description": "This key may not"},
    404: {"model": Rejection, "description": "No text has this name"},
}


@router.delete(
    "/texts/{name:path}", responses={**FORBIDDEN, **REJECTIONS}, dependencies=[Depends(writing)]
)
async def forget(name: str) -> str:
    """Forget a text."""
    return name


@router.get("/caller", include_in_schema=False)
async def caller(request: Request) -> str:
    """Tell over which scheme, and from where, the request came."""
    return f"{request.url.scheme} {request.client.host}"
