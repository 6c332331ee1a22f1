"""What routes ask for, and how the API documents its errors."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

from . import queue


async def loaded(request: Request) -> Any:
    """Return the model; answers 503 while it loads."""
    if request.app.state.predictor is None:
        raise HTTPException(503, "The model is still loading.", headers={"Retry-After": "1"})
    return request.app.state.predictor


async def waiting(request: Request, predictor: Annotated[Any, Depends(loaded)]) -> queue.Queue:
    """Return the queue in front of the model; answers 503 while the model loads."""
    return request.app.state.queue


async def logging(request: Request) -> Callable[[Sequence[Any], Sequence[Any]], None]:
    """Return a function that takes inputs and their answers for the prediction log."""
    return partial(request.app.state.log.add, request.state.request_id)


Queue = Annotated[queue.Queue, Depends(waiting)]
Keep = Annotated[Callable[[Sequence[Any], Sequence[Any]], None], Depends(logging)]


class Problem(BaseModel):
    """What is invalid, and where in the request."""

    loc: list[str]
    msg: str


class Rejection(BaseModel):
    """Why there is no answer."""

    detail: str | list[Problem]


# Answers other than 200, for the API's documentation.
Responses = dict[int | str, dict[str, Any]]
NOT_READY: Responses = {503: {"model": Rejection, "description": "The model is loading"}}
REJECTIONS: Responses = {
    408: {"model": Rejection, "description": "The body took too long to arrive"},
    413: {"model": Rejection, "description": "The body is too large"},
    415: {"model": Rejection, "description": "The body is compressed, or not declared as JSON"},
    422: {"model": Rejection, "description": "The body is invalid"},
    503: {"model": Rejection, "description": "The model is loading, or too many requests wait"},
}
