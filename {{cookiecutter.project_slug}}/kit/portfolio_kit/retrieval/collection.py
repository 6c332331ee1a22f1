"""Everything that can be found: the documents of the last training run, and changes since then.

The stored documents, their vectors and their BM25 index are files that never change. A document
that is added, replaced or deleted goes into the journal, on disk, and from there into memory. So a
document's text, vectors and words always come from one place, and from the same after a restart.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from .changes import Changes
from .documents import Document, Documents
from .index import open_index
from .journal import Change, Journal, Room
from .ranking import NOTHING, Ranking, best, fuse
from .records import Manifest
from .settings import Mode, Serving
from .vectors import Embed, Vectors
from .words import Words

DOCUMENTS, WORDS = "documents.sqlite", "words"
DEPTH = 100  # of each ranking that is fused
log = logging.getLogger(__package__)


class Hit(NamedTuple):
    """A document that was found."""

    document: Document
    score: float


class Collection:
    """Documents that any number of threads may search, add, replace and delete.

    A document's number is its row if it is stored; the numbers of changed ones follow all rows.
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: Serving, embed: Embed) -> None:
        self.folder, self.manifest = folder, manifest
        self.documents = Documents(folder / DOCUMENTS)
        self.vectors = Vectors(folder)
        self.words = Words(folder / WORDS)
        self.index = open_index(folder, self.vectors, manifest.index, settings.exact)
        self.mode: Mode = settings.retrieval or manifest.retrieval
        self._model, self._embed = manifest.embedding, embed
        self._lock = threading.Lock()  # of what follows
        self._changes = Changes(self.words)
        self._hidden: dict[str, int] = {}  # ids and rows of stored documents that have changed
        self._seen, self._newest = -1, 0  # the journal's version, and its newest change applied
        self._journal: Journal | None = None
        if settings.changes:
            room = Room(settings.max_changes, settings.max_changes_megabytes)
            self._journal = Journal(Path(settings.changes), room, self._is_stored)
        with self._lock:
            self._catch_up()

    @property
    def read_only(self) -> str | None:
        """Return why documents cannot be added and deleted; None if they can."""
        if self._journal is None:
            return "serve.changes is null here: documents do not change."
        return "serve.changes cannot be written here." if self._journal.is_read_only else None

    def close(self) -> None:
        """Close the file of changes."""
        with self._lock:
            if self._journal:
                self._journal.close()

    def search(
        self, text: str, vector: np.ndarray | None, count: int, mode: Mode | None = None
    ) -> list[Hit]:
        """Return the best documents for a query, best first; BM25 needs no `vector`."""
        mode = mode or self.mode
        stems = [] if mode == "dense" else self.words.tokens.split(text)
        depth = max(count, DEPTH) if mode == "hybrid" else count
        nearest = with_words = NOTHING
        with self._lock:  # all changes as of one moment
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
            numbers, scores = fuse(rankings[0], rankings[1], depth)
        rows = len(self.documents)
        return [
            Hit(self.documents.at(number) if number < rows else changed[number - rows], score)
            for number, score in zip(numbers[:count].tolist(), scores[:count].tolist(), strict=True)
        ]

    def similar(self, document_id: str, count: int) -> list[Hit] | None:
        """Return the documents nearest to one, best first, or None if no document has that id.

        A document is represented by the mean of its passages.
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
        """Return a document, or None if no document has that id."""
        with self._lock:
            self._catch_up()
            if changed := self._changes.get(document_id):
                return changed
            row = self._stored_row(document_id)
        return None if row is None else self.documents.at(row)

    def put(self, documents: Sequence[Document], vectors: Sequence[np.ndarray]) -> None:
        """Add or replace documents, given their passages' vectors; on disk when it returns.

        Raises `FullError`, and changes nothing, if there is no room for all of them.
        """
        assert self._journal
        changes = zip(documents, vectors, strict=True)
        self._journal.write([Change(one.id, one, self._model, values) for one, values in changes])
        with self._lock:
            self._catch_up()

    def delete(self, document_id: str) -> bool:
        """Delete a document, on disk when it returns; False if no document has that id."""
        assert self._journal
        if self.get(document_id) is None:
            return False
        self._journal.write([Change(document_id)])
        with self._lock:
            self._catch_up()
        return True

    def _is_stored(self, document_id: str) -> bool:
        return self.documents.row_of(document_id) is not None

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
        changes = self._journal.since(self._newest)
        if 0 < self._newest < self._journal.dropped():  # what was deleted is not known any more
            self._changes, self._hidden, self._newest = Changes(self.words), {}, 0
            changes = self._journal.since(0)
        dimensions = self.vectors.passages.shape[1]
        for change in self._current(self._journal, changes):
            if (row := self.documents.row_of(change.id)) is not None:
                self._hidden[change.id] = row
            if change.document is None:
                self._changes.remove(change.id)
            else:
                if not change.vectors.size or change.vectors.size % dimensions:
                    reason = f"its vectors are not of {dimensions} numbers each"
                    raise self._journal.damaged(change.id, change.number, reason)
                vectors = change.vectors.reshape(-1, dimensions)
                self._changes.put(change.document, vectors.astype(np.float32))
            self._newest = change.number
        self._seen = version

    def _current(self, journal: Journal, changes: list[Change]) -> list[Change]:
        """Return changes with vectors of this model; another model's are computed again."""
        documents = {
            place: change.document
            for place, change in enumerate(changes)
            if change.document and change.model != self._model
        }
        if documents:
            found = self._embed(list(documents.values()))
            for place, vectors in zip(documents, found, strict=True):
                changes[place] = changes[place]._replace(model=self._model, vectors=vectors)
            try:
                journal.write_vectors([changes[place] for place in documents])
            except UserError as error:
                kept = f"the new vectors of {len(documents):,} documents stay in memory"
                log.warning("%s; %s, and the next start computes them again", error, kept)
        return changes


def _visible(search: Callable[[int], Ranking], count: int, hidden: np.ndarray) -> Ranking:
    """Return the best that are not hidden, asking for more if too many are."""
    asked = count
    while True:
        numbers, scores = search(asked)
        kept = ~np.isin(numbers, hidden)
        if kept.sum() >= count or len(numbers) < asked:
            return numbers[kept][:count], scores[kept][:count]
        asked *= 2
