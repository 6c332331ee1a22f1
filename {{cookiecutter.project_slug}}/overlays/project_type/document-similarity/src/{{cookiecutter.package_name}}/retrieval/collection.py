"""All that can be found: the documents of the last training run, and what has changed since.

The stored documents, their vectors and their BM25 index are files that never change. What is added,
replaced or deleted goes into the journal, on disk, and from there into memory. So text, vectors and
words of a document always come from one place, and after a restart from the same.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..params import Mode, Serving
from .changes import NOTHING, Changes, Ranking
from .documents import Document, Documents
from .fusion import reciprocal_rank
from .journal import Change, Journal
from .vectors import DECISIVE, Vectors, open_index
from .words import Words, best

DEPTH = 100  # of each ranking that is fused
Embed = Callable[[Sequence[Document]], list[np.ndarray]]  # documents to vectors of their passages


class Hit(NamedTuple):
    """A document that was found."""

    document: Document
    score: float


class Collection:
    """Documents that can be searched, added, replaced and deleted, from any number of threads.

    A document's number is its row if it is stored; if it has changed, it comes after all rows.
    """

    def __init__(
        self, folder: Path, manifest: dict[str, Any], settings: Serving, embed: Embed
    ) -> None:
        self.documents = Documents(folder / "documents.sqlite")
        self.vectors = Vectors(folder)
        self.words = Words(folder / "words")
        self.index = open_index(folder, self.vectors, manifest["index"], settings.exact)
        self.mode: Mode = settings.retrieval or manifest["retrieval"]
        self._model = " ".join(str(manifest[name]) for name in DECISIVE)
        self._embed = embed
        self._lock = threading.Lock()  # of what follows
        self._changes = Changes(self.words)
        self._hidden: dict[str, int] = {}  # ids and rows of stored documents that have changed
        self._seen, self._newest = -1, 0  # what the journal said last
        self._journal = Journal(Path(settings.changes)) if settings.changes else None
        with self._lock:
            self._catch_up()

    @property
    def is_writable(self) -> bool:
        """Tell whether documents can be added and deleted."""
        return self._journal is not None

    def search(
        self, text: str, vector: np.ndarray | None, count: int, mode: Mode | None = None
    ) -> list[Hit]:
        """Return the best documents for a query, best first; `vector` may be None for BM25."""
        mode = mode or self.mode
        stems = [] if mode == "dense" else self.words.tokens.split(text)
        depth = max(count, DEPTH) if mode == "hybrid" else count
        nearest = with_words = NOTHING
        with self._lock:  # all that has changed as of one moment
            self._catch_up()
            hidden = np.fromiter(self._hidden.values(), dtype=np.int64)
            if vector is not None and mode != "bm25":
                nearest = self._changes.nearest(vector, depth)
            if stems:
                with_words = self._changes.with_words(stems, depth)
            found = {*nearest[0].tolist(), *with_words[0].tolist()}
            changed = {number: self._changes.at(number) for number in found}
        rankings = []
        if vector is not None and mode != "bm25":
            stored = _visible(lambda asked: self.index.search(vector, asked), depth, hidden)
            rankings.append(self._merged(stored, nearest, depth))
        if mode != "dense":
            stored = _visible(lambda asked: self.words.search(stems, asked), depth, hidden)
            rankings.append(self._merged(stored, with_words, depth))
        numbers, scores = rankings[0]
        if len(rankings) > 1:
            numbers, scores = reciprocal_rank([numbers for numbers, _ in rankings], count)
        rows = len(self.documents)
        return [
            Hit(self.documents.at(number) if number < rows else changed[number - rows], score)
            for number, score in zip(numbers[:count].tolist(), scores[:count].tolist(), strict=True)
        ]

    def similar(self, document_id: str, count: int) -> list[Hit] | None:
        """Return the documents nearest to one, best first, or None if there is none of this id.

        A document counts as the mean of its passages.
        """
        with self._lock:
            self._catch_up()
            if self._changes.get(document_id):
                vectors = self._changes.vectors_of(document_id)
            elif (row := self._stored_row(document_id)) is not None:
                vectors = self.vectors.of_document(row)
            else:
                return None
        mean = vectors.mean(axis=0)
        hits = self.search("", mean / np.linalg.norm(mean), count + 1, "dense")
        return [hit for hit in hits if hit.document.id != document_id][:count]

    def get(self, document_id: str) -> Document | None:
        """Return a document, or None if there is none of this id."""
        with self._lock:
            self._catch_up()
            if changed := self._changes.get(document_id):
                return changed
            row = self._stored_row(document_id)
        return None if row is None else self.documents.at(row)

    def put(self, documents: Sequence[Document], vectors: Sequence[np.ndarray]) -> None:
        """Add or replace documents, given the vectors of their passages; on disk on return."""
        assert self._journal
        changes = zip(documents, vectors, strict=True)
        self._journal.write([Change(one.id, one, self._model, values) for one, values in changes])
        with self._lock:
            self._catch_up()

    def delete(self, document_id: str) -> bool:
        """Delete a document, on disk on return; False if there is none of this id."""
        assert self._journal
        if self.get(document_id) is None:
            return False
        self._journal.write([Change(document_id)])
        with self._lock:
            self._catch_up()
        return True

    def _stored_row(self, document_id: str) -> int | None:
        return None if document_id in self._hidden else self.documents.row_of(document_id)

    def _merged(self, stored: Ranking, changed: Ranking, count: int) -> Ranking:
        numbers = np.concatenate([stored[0], changed[0] + len(self.documents)])
        places, scores = best(np.concatenate([stored[1], changed[1]]), count)
        return numbers[places], scores

    def _catch_up(self) -> None:
        """Apply what this process or another has written since; the lock is held."""
        if self._journal is None or (version := self._journal.version()) == self._seen:
            return
        changes = self._embedded_anew(self._journal, self._journal.since(self._newest))
        for change in changes:
            if (row := self.documents.row_of(change.id)) is not None:
                self._hidden[change.id] = row
            if change.document is None:
                self._changes.remove(change.id)
            else:
                vectors = change.vectors.reshape(-1, self.vectors.passages.shape[1])
                self._changes.put(change.document, vectors.astype(np.float32))
            self._newest = change.number
        self._seen = version

    def _embedded_anew(self, journal: Journal, changes: list[Change]) -> list[Change]:
        """Return changes with vectors of this model; those of the one before it are replaced."""
        documents = {
            place: change.document
            for place, change in enumerate(changes)
            if change.document and change.model != self._model
        }
        if documents:
            found = self._embed(list(documents.values()))
            for place, vectors in zip(documents, found, strict=True):
                changes[place] = changes[place]._replace(model=self._model, vectors=vectors)
            journal.write_vectors([changes[place] for place in documents])
        return changes


def _visible(search: Callable[[int], Ranking], count: int, hidden: np.ndarray) -> Ranking:
    """Return the best that are not hidden, asking for more where too many are."""
    asked = count
    while True:
        numbers, scores = search(asked)
        kept = ~np.isin(numbers, hidden)
        if kept.sum() >= count or len(numbers) < asked:
            return numbers[kept][:count], scores[kept][:count]
        asked *= 2
