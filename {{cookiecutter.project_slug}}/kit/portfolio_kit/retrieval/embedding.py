"""Embeds a corpus, part by part, each on disk before the next begins.

So memory does not grow with the corpus, a killed run resumes after the last part, and vectors that
exist are not computed again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from .. import artifacts
from .documents import Document, Documents
from .passages import Ids
from .vectors import OFFSETS, VECTORS

CACHE = Path(".cache/index")
PART = 1_024  # passages embedded together, sorted by length
READ = 1_000  # documents cut at a time


class Embedder(Protocol):
    """What cuts documents into passages, and maps these to vectors."""

    dimensions: int

    def split(self, documents: Sequence[Document]) -> list[list[Ids]]:
        """Return the tokens of each document's passages."""

    def embed(self, ids: list[Ids], advance: Callable[[int], object]) -> np.ndarray:
        """Return float32 (passages, dimensions), and tell after each batch how many it had."""


def embed_corpus(
    documents: Documents, embedder: Embedder, *identity: str, cache: Path = CACHE
) -> Path:
    """Return a folder with `vectors.npy` and `passages.npy`, resumed if a run was killed.

    identity: all that the vectors depend on. The folder in `cache` is named after it; others there
    are removed.
    """
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    folder = cache / digest[:12]
    if (folder / VECTORS).exists():  # it is put in place last
        print(f"embedding: {folder} has the vectors already")
        return folder
    for other in cache.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / OFFSETS).exists():
        artifacts.write_atomic(folder / OFFSETS, partial(_count, documents, embedder))
    offsets = np.load(folder / OFFSETS)
    written = folder / f"{VECTORS}.partial"
    _embed(documents, embedder, offsets, written)
    written.replace(folder / VECTORS)
    return folder


def _count(documents: Documents, embedder: Embedder, path: Path) -> None:
    """Write where each document's passages begin, and the end: int64 (documents + 1,)."""
    counts, rest = [0], documents.from_row(0)
    with tqdm(total=len(documents), desc="cutting", unit=" documents") as progress:
        while part := list(islice(rest, READ)):
            counts += map(len, embedder.split(part))
            progress.update(len(part))
    with path.open("wb") as file:
        np.save(file, np.cumsum(counts, dtype=np.int64), allow_pickle=False)


def _embed(documents: Documents, embedder: Embedder, offsets: np.ndarray, path: Path) -> None:
    """Append the vectors that a .npy file lacks: float16 (passages, dimensions)."""
    total = int(offsets[-1])
    header, size = _header((total, embedder.dimensions)), 2 * embedder.dimensions
    ends = [0]  # rows at which parts end
    while ends[-1] < len(documents):
        full = np.searchsorted(offsets, offsets[ends[-1]] + PART, side="right") - 1
        ends.append(max(ends[-1] + 1, int(full)))
    with path.open("ab") as file:
        there = max(0, file.tell() - len(header)) // size
        done = int(np.searchsorted(offsets[ends], there, side="right")) - 1  # whole parts
        first = ends[done]
        file.truncate(len(header) + int(offsets[first]) * size if first else 0)
        if not first:
            file.write(header)
        rest = documents.from_row(first)
        print(f"embedding {total:,} passages of {len(documents):,} documents", flush=True)
        with tqdm(
            total=total, initial=int(offsets[first]), desc="embedding", unit=" passages"
        ) as progress:
            for start, end in pairwise(ends[done:]):
                cut = embedder.split(list(islice(rest, end - start)))
                vectors = embedder.embed([ids for one in cut for ids in one], progress.update)
                file.write(vectors.astype(np.float16).tobytes())
                file.flush()


def _header(shape: tuple[int, int]) -> bytes:
    """Return how a .npy file of float16 begins."""
    header = BytesIO()
    facts = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()
