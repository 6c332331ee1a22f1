"""A search without an encoder, and an API that stores its documents: python -m retrieval.toy serve.

A word's vector is random, but always the same; a passage is a sentence, and the sum of its words.
"""

import dataclasses
import functools
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import tiny.project
from fastapi import APIRouter, Depends

from portfolio_kit import artifacts
from portfolio_kit.cli import main
from portfolio_kit.config import Settings
from portfolio_kit.project import Observation, Serving
from portfolio_kit.retrieval import api, documents, index, settings, vectors, words
from portfolio_kit.retrieval.collection import DOCUMENTS, WORDS, Collection
from portfolio_kit.retrieval.documents import Document, searchable
from portfolio_kit.retrieval.passages import Ids
from portfolio_kit.retrieval.records import IndexRecord, Manifest
from portfolio_kit.serving.dependencies import loaded

DIMENSIONS = 12
INDEX = settings.Index(
    exact_below=20_000, storage="f16", connectivity=16, expansion_add=128, expansion_search=64
)


@functools.cache
def vector_of_word(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=DIMENSIONS)


def tokens(text: str, model: str = "m1") -> Ids:
    """Return a number per word, another one for each model."""
    return [zlib.crc32(f"{model} {word}".encode()) for word in text.split()]


def vector_of(ids: Ids) -> np.ndarray:
    """Return a unit vector (dimensions,), as precise as it is stored."""
    vector = sum(map(vector_of_word, ids), np.full(DIMENSIONS, 1e-3))
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


def split(found: Sequence[Document], model: str = "m1") -> list[list[Ids]]:
    return [[tokens(sentence, model) for sentence in one.text.split(".")] for one in found]


def embed(found: Sequence[Document], model: str = "m1") -> list[np.ndarray]:
    return [np.stack([vector_of(ids) for ids in passages]) for passages in split(found, model)]


class Embedder:
    """What embeds a corpus."""

    dimensions = DIMENSIONS

    def split(self, found: Sequence[Document]) -> list[list[Ids]]:
        return split(found)

    def embed(self, ids: list[Ids], advance: Callable[[int], object]) -> np.ndarray:
        advance(len(ids))
        return np.stack([vector_of(one) for one in ids])


def write(
    folder: Path, stored: Sequence[Document], options: settings.Index = INDEX, model: str = "m1"
) -> Manifest:
    """Write what a training run leaves in `models/`, the manifest last."""
    folder.mkdir(parents=True, exist_ok=True)
    documents.write(folder / DOCUMENTS, stored)
    words.write(folder / WORDS, map(searchable, stored), "english")
    found = embed(stored, model)
    np.save(folder / vectors.VECTORS, np.concatenate(found).astype(np.float16))
    np.save(folder / vectors.OFFSETS, np.cumsum([0, *map(len, found)]))
    record = index.build(folder, "toy", options, threads=1)
    return artifacts.write_manifest(folder, [DOCUMENTS], manifest(record, len(stored), model))


def manifest(record: IndexRecord, count: int, model: str = "m1") -> Manifest:
    return Manifest(
        project_type="toy",
        version=model,
        precision="fp32",
        data_sha256="d" * 64,
        splits={},
        validation={},
        max_difference=0.0,
        train_seconds=0.0,
        peak_memory_mb=0.0,
        tracking_run=None,
        documents=count,
        max_tokens=32,
        overlap_tokens=8,
        index=record,
        retrieval="hybrid",
    )


class Params(Settings):
    serve: settings.Serving


class Predictor:
    """What the kit's routes for documents need of a model."""

    manifest_type = Manifest
    max_cost = 256

    def __init__(self, folder: Path, options: settings.Serving) -> None:
        self.manifest = artifacts.read_manifest(folder, Manifest, made_by="train")
        self.version = self.manifest.version
        self.collection = Collection(folder, self.manifest, options, embed)

    @classmethod
    def load(cls, folder: Path, options: settings.Serving) -> Self:
        return cls(folder, options)

    def close(self) -> None:
        self.collection.close()

    def split(self, found: Sequence[Document]) -> list[list[Ids]]:
        return split(found)

    def prepare(self, inputs: list[Ids]) -> list[Ids]:
        return inputs

    def answer(self, items: list[Ids]) -> list[np.ndarray]:
        return [vector_of(ids) for ids in items]


router = APIRouter()
router.include_router(api.router)


@router.post("/search")
async def search(
    body: dict[str, Any], model: Annotated[Predictor, Depends(loaded)]
) -> dict[str, Any]:
    """Search by meaning and words, and tell which words match."""
    query, tokens_of = body["query"], model.collection.words.tokens
    hits = model.collection.search(query, vector_of(tokens(query)), body.get("k", 10), "hybrid")
    found = (
        {**hit.document._asdict(), "matched": tokens_of.matching(query, hit.document.text)}
        for hit in hits
    )
    return {"results": list(found)}


def observe(question: Any, answer: Any) -> Observation:
    raise AssertionError("these routes log no answers")


def serving() -> Serving:
    return Serving(Predictor, router, lambda predictor: observe, tiny.project.FOLDER / "static")


PROJECT = dataclasses.replace(tiny.project.PROJECT, params=Params, serving=serving)

if __name__ == "__main__":
    sys.exit(main(PROJECT))
