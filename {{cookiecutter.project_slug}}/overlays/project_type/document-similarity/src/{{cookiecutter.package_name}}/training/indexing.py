"""Builds what a search looks through: the vectors of all passages, the graph over them, the words.

Documents go through one part at a time, and each part's vectors are on disk before the next begins:
so memory does not grow with the corpus, and a killed run goes on from the last part.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import artifacts, cores
from ..params import Params
from ..retrieval import vectors
from ..retrieval.documents import Document, Documents
from ..retrieval.vectors import DECISIVE, GRAPH, OFFSETS, VECTORS, Vectors
from ..serving.embedder import Embedder

CACHE = Path(".cache/index")
PART = 512  # documents embedded together, sorted by length


def build(
    folder: Path, embedder: Embedder, documents: Documents, corpus_sha256: str, params: Params
) -> dict[str, Any]:
    """Write vectors, and a graph if there are many, into a folder; return what the index is."""
    embedded = embed_corpus(embedder, documents, corpus_sha256)
    for name in (VECTORS, OFFSETS):
        shutil.copyfile(embedded / name, folder / name)
    stored = Vectors(folder)
    facts = {"settings": params.index.model_dump(), "passages": len(stored.passages)}
    if params.index.qdrant_url:
        from ..retrieval import qdrant  # loaded only where it is used

        collection = f"passages-{embedded.name}-{params.index.storage}"
        qdrant.write(stored, collection, params.index.qdrant_url, params.index.storage)
        return {"kind": "qdrant", "collection": collection, **facts}
    if len(stored.passages) < params.index.exact_below:
        return {"kind": "exact", **facts}
    threads = cores.threads(params.train.threads)
    vectors.write_graph(stored, folder / GRAPH, params.index, threads)
    return {"kind": "hnsw", **facts}


def embed_corpus(embedder: Embedder, documents: Documents, corpus_sha256: str) -> Path:
    """Return a folder with `vectors.npy` and `passages.npy`, made from where it stands."""
    decisive = [embedder.manifest[name] for name in DECISIVE]
    digest = hashlib.sha256(json.dumps([*decisive, corpus_sha256]).encode()).hexdigest()
    cache = CACHE / digest[:12]
    if (cache / OFFSETS).exists():  # the last to be written
        return cache
    for other in CACHE.glob("*"):
        if other != cache:
            shutil.rmtree(other)
    cache.mkdir(parents=True, exist_ok=True)
    raw, counts = cache / "vectors.raw", cache / "counts.raw"
    # A part's counts are written after its vectors, so that only whole parts count.
    done = np.fromfile(counts, dtype=np.int64) if counts.exists() else np.empty(0, dtype=np.int64)
    size = 2 * embedder.dimensions  # bytes of a vector, float16
    with raw.open("ab") as vector_file, counts.open("ab") as count_file:
        vector_file.truncate(int(done.sum()) * size)
        count_file.truncate(8 * len(done))
        progress = tqdm(
            total=len(documents), initial=len(done), desc="embedding", unit=" documents"
        )
        for part in parts(documents, len(done)):
            found = embedder.embed_documents(part)
            vector_file.write(np.concatenate(found).astype(np.float16).tobytes())
            vector_file.flush()
            count_file.write(np.array([len(one) for one in found], dtype=np.int64).tobytes())
            count_file.flush()
            progress.update(len(part))
        progress.close()
    passages = np.memmap(raw, dtype=np.float16, mode="r").reshape(-1, embedder.dimensions)
    artifacts.write_atomic(cache / VECTORS, partial(save, passages))
    offsets = np.concatenate([[0], np.cumsum(np.fromfile(counts, dtype=np.int64))])
    artifacts.write_atomic(cache / OFFSETS, partial(save, offsets))
    return cache


def parts(documents: Documents, start: int) -> Iterator[list[Document]]:
    """Yield lists of documents, from a row on."""
    part: list[Document] = []
    for document in documents.from_row(start):
        part.append(document)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


def save(array: np.ndarray, path: Path) -> None:
    """Write an array under exactly this name."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
