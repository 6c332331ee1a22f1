"""Search by meaning: the vectors of the passages, and the indexes that find the nearest of them.

Documents are scored by their best passage. Vectors have unit length, so that the inner product is
the cosine of the angle between two.
"""

import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from usearch.index import Index

from ..params import Index as Settings
from .words import best

DECISIVE = ("version", "max_tokens", "overlap_tokens")  # of the manifest: what vectors depend on
VECTORS, OFFSETS, GRAPH = "vectors.npy", "passages.npy", "graph.usearch"
METRICS = {"f16": "ip", "i8": "cos"}  # i8 has to scale vectors first, which only "cos" does
PASSAGES_A_DOCUMENT = 4  # asked for at first; more if they turn out to be of too few documents


class Vectors:
    """The passages' vectors as computed, memory-mapped: float16 (passages, dimensions)."""

    def __init__(self, folder: Path) -> None:
        self.passages = np.load(folder / VECTORS, mmap_mode="r")
        # Where the passages of each document begin, and the end: int64 (documents + 1,).
        self.offsets = np.load(folder / OFFSETS)

    def of_document(self, row: int) -> np.ndarray:
        """Return the vectors of a document, float32 (its passages, dimensions)."""
        start, end = self.offsets[row : row + 2]
        return self.passages[start:end].astype(np.float32)

    def rows_of(self, passages: np.ndarray) -> np.ndarray:
        """Return the rows of the documents that passages belong to."""
        return np.searchsorted(self.offsets, passages, side="right") - 1


class Nearest(ABC):
    """An index: for a vector, the documents with the nearest passages."""

    @abstractmethod
    def search(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and scores of at most `count` documents, best first."""


class Exact(Nearest):
    """Compares with every vector: nothing is missed, and time grows with their number."""

    def __init__(self, vectors: Vectors) -> None:
        self._passages = vectors.passages.astype(np.float32)
        self._starts = vectors.offsets[:-1]

    def search(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest documents."""
        return best(np.maximum.reduceat(self._passages @ vector, self._starts), count)


class Approximate(Nearest):
    """An index that returns passages, and may miss some; they are scored anew, exactly."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    @abstractmethod
    def candidates(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the numbers of at most `count` passages that are near."""

    def search(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest documents, as far as the index finds their passages."""
        available = len(self._vectors.passages)
        asked = min(count * PASSAGES_A_DOCUMENT, available)
        while True:
            passages = np.sort(self.candidates(vector, asked))
            rows, firsts = np.unique(self._vectors.rows_of(passages), return_index=True)
            if len(rows) >= count or asked == available or len(passages) < asked:
                break
            asked = min(2 * asked, available)
        if not len(rows):
            return rows, np.empty(0, dtype=np.float32)
        scores = self._vectors.passages[passages].astype(np.float32) @ vector
        places, values = best(np.maximum.reduceat(scores, firsts), count)
        return rows[places], values


class Graph(Approximate):
    """usearch's graph of neighbours, memory-mapped: HNSW (Malkov and Yashunin 2018)."""

    def __init__(self, vectors: Vectors, path: Path, expansion_search: int) -> None:
        super().__init__(vectors)
        index: Any = Index.restore(path, view=True)
        index.expansion_search = expansion_search
        self._index = index
        self._lock = threading.Lock()  # calls from several threads would share one scratch pad

    def candidates(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the passages that a walk through the graph finds."""
        with self._lock:
            return np.asarray(self._index.search(vector, count).keys).astype(np.int64)


def write_graph(vectors: Vectors, path: Path, settings: Settings, threads: int) -> None:
    """Build the graph over all passages and write it."""
    index = Index(
        ndim=vectors.passages.shape[1],
        metric=METRICS[settings.storage],
        dtype=settings.storage,
        connectivity=settings.connectivity,
        expansion_add=settings.expansion_add,
    )
    passages = vectors.passages
    index.add(np.arange(len(passages)), passages, threads=threads, log="index")
    index.save(path)


def open_index(
    folder: Path, vectors: Vectors, manifest: dict[str, Any], exact: bool = False
) -> Nearest:
    """Return the index that was chosen in training, or one that compares with every vector."""
    kind, settings = manifest["kind"], manifest["settings"]
    if exact or kind == "exact":
        return Exact(vectors)
    if kind == "qdrant":
        from .qdrant import Qdrant  # loaded only where it is used

        return Qdrant(vectors, manifest["collection"], settings["qdrant_url"])
    return Graph(vectors, folder / GRAPH, settings["expansion_search"])
