"""What the API answers: queries in, documents out; and the documents themselves."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field, model_validator

from ..errors import UserError
from ..retrieval.documents import Document as StoredDocument
from .batching import Batcher
from .dependencies import REFUSALS, Keep, Model, Queue, Refusal, Responses
from .predictor import DEFAULT_K, Item, Predictor, Question

SEARCHES = Counter("searches", "Searches by what they were for", ["by"])
RESULTS = Histogram("search_results", "Documents found", buckets=(0, 1, 3, 10, 30, 100))
WRITTEN = Counter("documents_written", "Documents added, replaced or deleted", ["how"])
MAX_K = 100
MAX_INLINE = 4096  # characters, cut into passages in a millisecond
RETRY_SECONDS = "5"
UNKNOWN: Responses = {404: {"model": Refusal, "description": "There is no such document"}}
READ_ONLY: Responses = {403: {"model": Refusal, "description": "Documents cannot be changed here"}}

Id = Annotated[str, Field(min_length=1, max_length=200)]
# Without control characters: a line break cannot be part of an address.
NewId = Annotated[Id, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
PathId = Annotated[str, Path(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=50_000)]


class SearchRequest(BaseModel):
    """Either a query, or the id of a document to find the likes of."""

    query: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
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
    matched: list[str]  # words of the document that the query has too


class SearchResponse(BaseModel):
    model_version: str
    results: list[Result]


class Document(BaseModel):
    id: NewId
    title: Annotated[str, Field(max_length=1_000)] = ""
    text: Text = ""
    metadata: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_words(self) -> "Document":
        if not f"{self.title}{self.text}".strip():
            raise ValueError('"title" and "text" are both empty; there is nothing to find')
        return self

    @model_validator(mode="after")
    def _can_be_returned(self) -> "Document":
        try:
            self.model_dump_json()
            json.dumps(self.metadata, ensure_ascii=False).encode()  # keys, too, as they are stored
        except ValueError:
            raise ValueError('"metadata" is nested too deeply, or no Unicode') from None
        return self


class DocumentsRequest(BaseModel):
    documents: Annotated[list[Document], Field(min_length=1, max_length=64)]


class Written(BaseModel):
    """The ids of documents that are on disk now, and found from now on (or no longer)."""

    ids: list[str]


router = APIRouter()


@router.post("/search", tags=["model"], responses={**UNKNOWN, **REFUSALS})
async def search(body: SearchRequest, model: Model, queue: Queue, keep: Keep) -> SearchResponse:
    """Find the documents that a query describes, or those that resemble a document, best first."""
    with _reachable():
        [found] = await queue.submit([Question(body.query or "", body.k, body.document_id)])
    if found is None:
        raise _unknown(body.document_id)
    if body.query is not None:
        keep([body.query], [found])
    results = found[: body.k]
    SEARCHES.labels("query" if body.document_id is None else "document").inc()
    RESULTS.observe(len(results))
    return SearchResponse(model_version=model.version, results=results)


@router.post("/documents", tags=["documents"], responses={**READ_ONLY, **REFUSALS})
async def put_documents(body: DocumentsRequest, model: Model, queue: Queue) -> Written:
    """Add documents, or replace those of the same ids: all of them, or none."""
    _check_writable(model)
    # Of several with one id, the last counts.
    documents = {
        one.id: StoredDocument(one.id, one.title, one.text, one.metadata) for one in body.documents
    }
    with _reachable():
        vectors = await _embed(list(documents.values()), model, queue)
        await asyncio.to_thread(model.collection.put, list(documents.values()), vectors)
    WRITTEN.labels("put").inc(len(documents))
    return Written(ids=list(documents))


@router.get("/documents/{id:path}", tags=["documents"], responses={**UNKNOWN, **REFUSALS})
async def get_document(id: PathId, model: Model) -> Document:
    """Return a document."""
    with _reachable():
        document = await asyncio.to_thread(model.collection.get, id)
    if document is None:
        raise _unknown(id)
    return Document.model_construct(**document._asdict())


@router.delete(
    "/documents/{id:path}", tags=["documents"], responses={**UNKNOWN, **READ_ONLY, **REFUSALS}
)
async def delete_document(id: PathId, model: Model) -> Written:
    """Delete a document."""
    _check_writable(model)
    with _reachable():
        is_known = await asyncio.to_thread(model.collection.delete, id)
    if not is_known:
        raise _unknown(id)
    WRITTEN.labels("delete").inc()
    return Written(ids=[id])


async def _embed(
    documents: list[StoredDocument], model: Predictor, queue: Batcher
) -> list[np.ndarray]:
    """Return the vectors of each document's passages, computed when it is their turn."""
    if sum(len(one.title) + len(one.text) for one in documents) <= MAX_INLINE:
        passages = model.split(documents)
    else:
        passages = await asyncio.to_thread(model.split, documents)
    vectors = iter(await queue.submit([Item(ids) for ids in chain.from_iterable(passages)]))
    return [np.stack([next(vectors) for _ in one]) for one in passages]


@contextmanager
def _reachable() -> Iterator[None]:
    """Answer 503 where a disk is full, or an index elsewhere does not answer."""
    try:
        yield
    except UserError as error:
        raise HTTPException(503, str(error), headers={"Retry-After": RETRY_SECONDS}) from None


def _check_writable(model: Predictor) -> None:
    if not model.collection.is_writable:
        raise HTTPException(403, "serve.changes is null here: documents do not change.")


def _unknown(document_id: str | None) -> HTTPException:
    return HTTPException(404, f"There is no document {document_id!r}.")
