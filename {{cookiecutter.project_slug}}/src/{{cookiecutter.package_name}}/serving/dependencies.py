"""What routes ask for."""

from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request

from .predictor import Predictor


def loaded(request: Request) -> Predictor:
    """Return the model; answers 503 while it loads."""
    if request.app.state.predictor is None:
        raise HTTPException(503, "The model is still loading.", headers={"Retry-After": "1"})
    return request.app.state.predictor


Model = Annotated[Predictor, Depends(loaded)]
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "The model is still loading; try again"}
}
