"""The API's own route: a query in, documents out; the kit's routes add and delete documents."""

from typing import Annotated

from fastapi import APIRouter, Depends
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field, model_validator

from portfolio_kit.retrieval import api as documents
from portfolio_kit.retrieval.api import UNKNOWN, Id, reachable, unknown
from portfolio_kit.serving.bodies import Body, Text
from portfolio_kit.serving.dependencies import REJECTIONS, Keep, Queue, loaded

from ..predictor import DEFAULT_K, Predictor, Question

SEARCHES = Counter("searches", "Searches by what they were for", ["by"])
RESULTS = Histogram("search_results", "Documents found", buckets=(0, 1, 3, 10, 30, 100))
MAX_K = 100

Model = Annotated[Predictor, Depends(loaded)]


class SearchRequest(Body):
    """Either a query, or the id of a document whose neighbours are wanted."""

    query: Text | None = None
    document_id: Id | None = None
    k: Annotated[int, Field(strict=True, ge=1, le=MAX_K)] = DEFAULT_K

    @model_validator(mode="after")
    def _one_of_both(self) -> "SearchRequest":
        if (self.query is None) == (self.document_id is None):
            raise ValueError('give either "query" or "document_id"')
        return self


class Result(BaseModel):
    id: str
    score: float
    title: str
    text: str
    matched: list[str]  # words of the document that the query has as well


class SearchResponse(BaseModel):
    model_version: str
    results: list[Result]


router = APIRouter()
router.include_router(documents.router)


@router.post("/search", tags=["model"], responses={**UNKNOWN, **REJECTIONS})
async def search(body: SearchRequest, model: Model, queue: Queue, keep: Keep) -> SearchResponse:
    """Find the documents that a query describes, or those that resemble a document, best first."""
    with reachable():
        [found] = await queue.submit([Question(body.query or "", body.k, body.document_id)])
    if found is None:
        raise unknown(body.document_id)
    if body.query is not None:
        keep([body.query], [found])
    SEARCHES.labels("document" if body.query is None else "query").inc()
    results = found[: body.k]
    RESULTS.observe(len(results))
    return SearchResponse(model_version=model.version, results=results)
