"""The routes that show what is stored: which series, and their history."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel

from ..serving.dependencies import REJECTIONS, Rejection, Responses, loaded
from .grid import Grid
from .requests import history_of
from .series import Series, name_of
from .serving import Serving

UNKNOWN: Responses = {404: {"model": Rejection, "description": "There is no such series"}}


class Stored(Protocol):
    """What this route needs of a model."""

    stored: dict[str, Series]
    settings: Serving

    @property
    def shape(self) -> Grid: ...


class SeriesResponse(BaseModel):
    series: list[str]
    freq: str
    horizon: int
    total: bool


class HistoryResponse(BaseModel):
    history: list[dict[str, str | float]]


router = APIRouter()


async def each_once(request: Request) -> None:
    """Answer 422 if a query parameter is given twice, since it is unclear which one counts."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise HTTPException(422, [{"loc": ["query", name], "msg": "is given twice"}])
        seen.add(name)


@router.get("/series", responses=REJECTIONS)
async def series(model: Annotated[Stored, Depends(loaded)]) -> SeriesResponse:
    """Return the names of the stored series, their step, how many steps are forecast by default,
    and whether a sum over them means something.
    """
    grid = model.shape
    return SeriesResponse(
        series=[*model.stored], freq=grid.freq, horizon=grid.horizon, total=model.settings.total
    )


@router.get("/history", responses={**UNKNOWN, **REJECTIONS}, dependencies=[Depends(each_once)])
async def history(
    model: Annotated[Stored, Depends(loaded)],
    unique_id: str | None = None,
    steps: Annotated[int, Query(ge=0)] = 0,
) -> HistoryResponse:
    """Return the end of a stored series (by default the first), as `POST /forecast` takes it."""
    name = name_of(unique_id) if unique_id else next(iter(model.stored))
    found = model.stored.get(name)
    if found is None:
        known = ", ".join(list(model.stored)[:5])
        raise HTTPException(404, f"There is no series {unique_id!r:.40}; there are {known}.")
    return HistoryResponse(history=history_of(found, model.shape)[-steps:])
