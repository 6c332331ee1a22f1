"""Documents added or replaced since the index was built, searchable from memory."""

from collections import defaultdict
from itertools import count as counter

import numpy as np

from .documents import Document, searchable
from .ranking import NOTHING, Ranking, best
from .words import Words


class Changes:
    """A few documents, compared one by one; each version of a document has its own number.

    One thread at a time may use it.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._numbers = counter()
        self._number_of: dict[str, int] = {}
        self._documents: dict[int, Document] = {}
        self._vectors: dict[int, np.ndarray] = {}
        self._weights: dict[str, dict[int, float]] = {}  # stem: number: what it adds to the score
        # All vectors, stacked, and where those of each document begin.
        self._stacked: tuple[np.ndarray, np.ndarray] | None = None

    def put(self, document: Document, vectors: np.ndarray) -> None:
        """Add or replace a document, given its passages' vectors (passages, dimensions)."""
        self.remove(document.id)
        number = next(self._numbers)
        self._number_of[document.id] = number
        self._documents[number], self._vectors[number] = document, vectors
        for stem, weight in self._words.weigh(searchable(document)).items():
            self._weights.setdefault(stem, {})[number] = weight
        self._stacked = None

    def remove(self, document_id: str) -> None:
        """Forget a document, if it is here."""
        number = self._number_of.pop(document_id, None)
        if number is None:
            return
        document = self._documents.pop(number)
        del self._vectors[number]
        for stem in set(self._words.tokens.split(searchable(document))):
            del self._weights[stem][number]
            if not self._weights[stem]:
                del self._weights[stem]
        self._stacked = None

    def get(self, document_id: str) -> Document | None:
        """Return a document, or None if it is not here."""
        number = self._number_of.get(document_id)
        return None if number is None else self._documents[number]

    def at(self, number: int) -> Document:
        """Return the document of a number that a search has found."""
        return self._documents[number]

    def vectors_of(self, document_id: str) -> np.ndarray:
        """Return the vectors of a document's passages, float32 (passages, dimensions)."""
        return self._vectors[self._number_of[document_id]]

    def nearest(self, vector: np.ndarray, count: int) -> Ranking:
        """Return the documents with the nearest passages."""
        if not self._documents:
            return NOTHING
        if self._stacked is None:
            lengths = [len(vectors) for vectors in self._vectors.values()]
            starts = np.cumsum([0, *lengths[:-1]])
            self._stacked = np.concatenate(list(self._vectors.values())), starts
        vectors, starts = self._stacked
        places, scores = best(np.maximum.reduceat(vectors @ vector, starts), count)
        return np.fromiter(self._vectors, dtype=np.int64)[places], scores

    def with_words(self, stems: list[str], count: int) -> Ranking:
        """Return the documents that have one of the words."""
        scores: dict[int, float] = defaultdict(float)
        for stem in stems:
            for number, weight in self._weights.get(stem, {}).items():
                scores[number] += weight
        numbers = np.array(sorted(scores), dtype=np.int64)
        values = np.array([scores[number] for number in numbers.tolist()], dtype=np.float32)
        places, values = best(values, count)
        return numbers[places], values
