"""What routes ask for."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

from .batching import Batcher
from .predictor import Predictor


async def loaded(request: Request) -> Predictor:
    """Return the model; answers 503 while it loads."""
    if request.app.state.predictor is None:
        raise HTTPException(503, "The model is still loading.", headers={"Retry-After": "1"})
    return request.app.state.predictor


async def batcher(request: Request, predictor: Annotated[Predictor, Depends(loaded)]) -> Batcher:
    """Return the queue in front of the model; answers 503 while the model loads."""
    return request.app.state.batcher


async def keep(request: Request) -> Callable[[Sequence[Any], Sequence[Any]], None]:
    """Return what takes inputs and their answers for the prediction log."""
    return partial(request.app.state.log.add, request.state.request_id)


Keep = Annotated[Callable[[Sequence[Any], Sequence[Any]], None], Depends(keep)]
Model = Annotated[Predictor, Depends(loaded)]
Queue = Annotated[Batcher, Depends(batcher)]


class Problem(BaseModel):
    """What does not fit, and where in the request."""

    loc: list[str]
    msg: str


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str | list[Problem]


# What the API's documentation says of answers other than 200.
Responses = dict[int | str, dict[str, Any]]
NOT_READY: Responses = {503: {"model": Refusal, "description": "The model is loading"}}
REFUSALS: Responses = {
    408: {"model": Refusal, "description": "The body took too long to arrive"},
    413: {"model": Refusal, "description": "The body is too large"},
    422: {"model": Refusal, "description": "The body does not fit"},
    503: {"model": Refusal, "description": "The model is loading, or too many requests wait"},
}
