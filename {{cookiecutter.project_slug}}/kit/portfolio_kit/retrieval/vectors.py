"""Search by meaning: the passages' vectors, and what every index over them shares.

A document scores as its best passage. Vectors have unit length, so the inner product of two is the
cosine of the angle between them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .documents import Document
from .ranking import NOTHING, Ranking, best

Embed = Callable[[Sequence[Document]], list[np.ndarray]]  # documents to their passages' vectors
VECTORS, OFFSETS = "vectors.npy", "passages.npy"
PASSAGES_PER_DOCUMENT = 4  # asked for at first; more if they belong to too few documents


class Vectors:
    """The passages' vectors as computed, memory-mapped: float16 (passages, dimensions)."""

    def __init__(self, folder: Path) -> None:
        self.passages = np.load(folder / VECTORS, mmap_mode="r")
        # Where each document's passages begin, and the end: int64 (documents + 1,).
        self.offsets = np.load(folder / OFFSETS)

    def of_document(self, row: int) -> np.ndarray:
        """Return a document's vectors, float32 (its passages, dimensions)."""
        start, end = self.offsets[row : row + 2]
        return self.passages[start:end].astype(np.float32)

    def rows_of(self, passages: np.ndarray) -> np.ndarray:
        """Return the rows of the documents that passages belong to."""
        return np.searchsorted(self.offsets, passages, side="right") - 1


class Nearest(ABC):
    """Finds the documents with the passages nearest to a vector."""

    @abstractmethod
    def search(self, vector: np.ndarray, count: int) -> Ranking:
        """Return the rows of at most `count` documents, and their scores."""


class Exact(Nearest):
    """Compares with every vector: misses nothing, in time that grows with their number."""

    def __init__(self, vectors: Vectors) -> None:
        self._passages = vectors.passages.astype(np.float32)
        self._starts = vectors.offsets[:-1]

    def search(self, vector: np.ndarray, count: int) -> Ranking:
        """Return the nearest documents."""
        return best(np.maximum.reduceat(self._passages @ vector, self._starts), count)


class Approximate(Nearest):
    """An index that returns passages and may miss some; the scores are computed exactly."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    @abstractmethod
    def candidates(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the numbers of at most `count` passages that are near."""

    def search(self, vector: np.ndarray, count: int) -> Ranking:
        """Return the nearest documents among those whose passages the index finds."""
        available = len(self._vectors.passages)
        asked = min(count * PASSAGES_PER_DOCUMENT, available)
        while True:
            passages = np.sort(self.candidates(vector, asked))
            rows, firsts = np.unique(self._vectors.rows_of(passages), return_index=True)
            if len(rows) >= count or asked == available or len(passages) < asked:
                break
            asked = min(2 * asked, available)
        if not len(rows):
            return NOTHING
        scores = self._vectors.passages[passages].astype(np.float32) @ vector
        places, values = best(np.maximum.reduceat(scores, firsts), count)
        return rows[places], values
