"""Documents that were added or replaced since the index was built, searchable from memory."""

import numpy as np

from .documents import Document, searchable
from .words import Words, best


class Changes:
    """Few documents, compared one by one; a slot that is no longer valid is left empty.

    One thread at a time may use it.
    """

    def __init__(self, dimensions: int, words: Words) -> None:
        self._words = words
        self._slots: list[Document | None] = []
        self._slot_of: dict[str, int] = {}
        # Grown by doubling, so that adding a document does not copy all.
        self._vectors = np.empty((64, dimensions), dtype=np.float32)
        self._slot_of_vector = np.empty(64, dtype=np.int64)
        self._used = 0
        self._weights: dict[str, dict[int, float]] = {}  # stem: slot: what it adds to the score

    def put(self, document: Document, vectors: np.ndarray) -> None:
        """Add a document with the vectors of its passages, or replace it."""
        self.remove(document.id)
        slot = len(self._slots)
        self._slots.append(document)
        self._slot_of[document.id] = slot
        end = self._used + len(vectors)
        while end > len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
            self._slot_of_vector = np.tile(self._slot_of_vector, 2)
        self._vectors[self._used : end] = vectors
        self._slot_of_vector[self._used : end] = slot
        self._used = end
        for stem, weight in self._words.weigh(searchable(document)).items():
            self._weights.setdefault(stem, {})[slot] = weight

    def remove(self, document_id: str) -> None:
        """Forget a document, if it is here."""
        slot = self._slot_of.pop(document_id, None)
        if slot is None:
            return
        document, self._slots[slot] = self._slots[slot], None
        self._vectors[: self._used][self._slot_of_vector[: self._used] == slot] = 0
        assert document is not None
        for stem in set(self._words.tokens.split(searchable(document))):
            del self._weights[stem][slot]

    def get(self, document_id: str) -> Document | None:
        """Return a document, or None if it is not here."""
        slot = self._slot_of.get(document_id)
        return None if slot is None else self._slots[slot]

    def at(self, slot: int) -> Document:
        """Return the document in a slot that a search has found."""
        document = self._slots[slot]
        assert document is not None
        return document

    def vectors_of(self, document_id: str) -> np.ndarray:
        """Return the vectors of a document's passages, float32 (passages, dimensions)."""
        mine = self._slot_of_vector[: self._used] == self._slot_of[document_id]
        return self._vectors[: self._used][mine]

    def nearest(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return slots and scores of the documents with the nearest passages, best first."""
        scores = np.full(len(self._slots), -np.inf, dtype=np.float32)
        owners = self._slot_of_vector[: self._used]
        np.maximum.at(scores, owners, self._vectors[: self._used] @ vector)
        scores[[document is None for document in self._slots]] = -np.inf
        return best(scores, count, above=-np.inf)

    def with_words(self, stems: list[str], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return slots and scores of the documents that have the words, best first."""
        scores = np.zeros(len(self._slots), dtype=np.float32)
        for stem in stems:
            for slot, weight in self._weights.get(stem, {}).items():
                scores[slot] += weight
        return best(scores, count, above=0.0)
