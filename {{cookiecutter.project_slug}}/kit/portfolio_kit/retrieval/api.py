"""The routes that add, show and delete documents while the service runs."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any, Protocol

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Path
from prometheus_client import Counter
from pydantic import BaseModel, Field, model_validator

from ..errors import UserError
from ..serving.access import writing
from ..serving.bodies import Body
from ..serving.dependencies import REJECTIONS, Queue, Rejection, Responses, loaded
from ..serving.prometheus import metric
from . import documents
from .collection import Collection
from .journal import FullError
from .passages import Ids

WRITTEN = metric(Counter, "documents_written", "Documents added, replaced or deleted", ["how"])
MAX_INLINE = 4096  # characters, cut into passages in a millisecond
RETRY_SECONDS = "5"
UNKNOWN: Responses = {404: {"model": Rejection, "description": "No document has this id"}}
READ_ONLY: Responses = {
    403: {"model": Rejection, "description": "Documents cannot be changed here, or with this key"}
}
FULL: Responses = {507: {"model": Rejection, "description": "No room for more changes"}}


class Searchable(Protocol):
    """What these routes need of a model; its queue embeds a passage given as token ids."""

    collection: Collection

    def split(self, documents: list[documents.Document]) -> list[list[Ids]]: ...


Model = Annotated[Searchable, Depends(loaded)]
Id = Annotated[str, Field(min_length=1, max_length=200)]
# No control characters: a line break cannot be part of an address.
NewId = Annotated[Id, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
PathId = Annotated[str, Path(min_length=1, max_length=200)]


class Document(BaseModel):  # data may have more fields; they are left out
    id: NewId
    title: Annotated[str, Field(max_length=1_000)] = ""
    text: Annotated[str, Field(max_length=50_000)] = ""
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_words(self) -> "Document":
        if not f"{self.title}{self.text}".strip():
            raise ValueError('"title" and "text" are both empty; there is nothing to find')
        return self

    @model_validator(mode="after")
    def _can_be_returned(self) -> "Document":
        try:
            self.model_dump_json()
            json.dumps(self.metadata, ensure_ascii=False).encode()  # keys as well, as stored
        except ValueError:
            raise ValueError('"metadata" is nested too deeply, or not valid Unicode') from None
        return self


class DocumentsRequest(Body):
    documents: Annotated[list[Document], Field(min_length=1, max_length=64)]


class Written(BaseModel):
    """The ids of documents whose change is on disk and in effect."""

    ids: list[str]


router = APIRouter(tags=["documents"])
WRITES = [Depends(writing)]


@router.post("/documents", responses={**READ_ONLY, **FULL, **REJECTIONS}, dependencies=WRITES)
async def put_documents(body: DocumentsRequest, model: Model, queue: Queue) -> Written:
    """Add documents, or replace those with the same ids: all of them, or none."""
    _check_writable(model)
    # If an id repeats, the last document counts.
    found = {
        one.id: documents.Document(one.id, one.title, one.text, one.metadata)
        for one in body.documents
    }
    with reachable():
        vectors = await _embed(list(found.values()), model, queue)
        await asyncio.to_thread(model.collection.put, list(found.values()), vectors)
    WRITTEN.labels("put").inc(len(found))
    return Written(ids=list(found))


@router.get("/documents/{id:path}", responses={**UNKNOWN, **REJECTIONS})
async def get_document(id: PathId, model: Model) -> Document:
    """Return a document."""
    with reachable():
        document = await asyncio.to_thread(model.collection.get, id)
    if document is None:
        raise unknown(id)
    return Document.model_construct(**document._asdict())


@router.delete(
    "/documents/{id:path}",
    responses={**UNKNOWN, **READ_ONLY, **FULL, **REJECTIONS},
    dependencies=WRITES,
)
async def delete_document(id: PathId, model: Model) -> Written:
    """Delete a document."""
    _check_writable(model)
    with reachable():
        is_known = await asyncio.to_thread(model.collection.delete, id)
    if not is_known:
        raise unknown(id)
    WRITTEN.labels("delete").inc()
    return Written(ids=[id])


def unknown(document_id: str | None) -> HTTPException:
    """Return the 404 for an id that no document has."""
    return HTTPException(404, f"There is no document {document_id!r}.")


@contextmanager
def reachable() -> Iterator[None]:
    """Answer 503 if a disk is full or an index elsewhere is silent, and log why; 507 at a limit."""
    try:
        yield
    except FullError as error:
        raise HTTPException(507, str(error)) from None
    except UserError as error:
        detail = "The documents cannot be reached right now; try again later."
        raise HTTPException(503, detail, headers={"Retry-After": RETRY_SECONDS}) from error


async def _embed(
    found: list[documents.Document], model: Searchable, queue: Queue
) -> list[np.ndarray]:
    """Return the vectors of each document's passages, which wait in the queue like queries."""
    if sum(len(one.title) + len(one.text) for one in found) <= MAX_INLINE:
        passages = model.split(found)
    else:
        passages = await asyncio.to_thread(model.split, found)
    vectors = iter(await queue.submit([*chain.from_iterable(passages)]))
    return [np.stack([next(vectors) for _ in one]) for one in passages]


def _check_writable(model: Searchable) -> None:
    if reason := model.collection.read_only:
        raise HTTPException(403, reason)
