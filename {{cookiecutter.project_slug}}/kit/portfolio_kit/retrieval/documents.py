"""The document store: texts and metadata in one SQLite file, written once and then only read."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

EMPTY: Mapping[str, Any] = MappingProxyType({})

TABLE = """
CREATE TABLE documents (row INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, title, text, metadata)
"""
COLUMNS = "id, title, text, metadata"
PART = 1_000  # documents read at a time
FIRST = 4  # documents that stand for all


class Document(NamedTuple):
    """What a search finds."""

    id: str
    title: str
    text: str
    metadata: Mapping[str, Any] = EMPTY


class DuplicateError(ValueError):
    """Two documents have the same id."""


def write(path: Path, documents: Iterable[Document]) -> int:
    """Write documents, in order, into a new file; return how many there are.

    Holds one document at a time in memory. Raises `DuplicateError`, with the id, if an id repeats.
    """
    path.unlink(missing_ok=True)
    count = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # The file is put in place only once it is whole, so it needs no journal.
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(TABLE)
        connection.execute("BEGIN")
        for count, document in enumerate(documents, start=1):
            document_id, title, text, metadata = document
            known = json.dumps(metadata, ensure_ascii=False) if metadata else None
            values = (count - 1, document_id, title, text, known)
            try:
                connection.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", values)
            except sqlite3.IntegrityError:
                raise DuplicateError(document_id) from None
        connection.execute("COMMIT")
    return count


class Documents(Sequence[str]):
    """The stored documents by row and by id; as a sequence, their searchable texts.

    Any number of threads may read.
    """

    def __init__(self, path: Path) -> None:
        self._address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._connections = threading.local()
        [(self._rows,)] = self._execute("SELECT count(*) FROM documents")

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: Any) -> str:
        return searchable(self.at(row))

    def __iter__(self) -> Iterator[str]:
        return map(searchable, self.from_row(0))

    def at(self, row: int) -> Document:
        """Return the document in a row."""
        [found] = self._execute(f"SELECT {COLUMNS} FROM documents WHERE row = ?", int(row))
        return _document(found)

    def by_id(self, document_id: str) -> Document:
        """Return the document with an id; raises `KeyError` if there is none."""
        row = self.row_of(document_id)
        if row is None:
            raise KeyError(document_id)
        return self.at(row)

    def from_row(self, start: int) -> Iterator[Document]:
        """Yield the documents from a row on."""
        while found := self._execute(
            f"SELECT {COLUMNS} FROM documents WHERE row >= ? ORDER BY row LIMIT ?", start, PART
        ):
            yield from map(_document, found)
            start += PART

    def titles(self) -> list[tuple[str, str]]:
        """Return what the first documents begin with, and their ids."""
        return [(one.title or one.text, one.id) for one in islice(self.from_row(0), FIRST)]

    def row_of(self, document_id: str) -> int | None:
        """Return the row of a document, or None if no document has that id."""
        found = self._execute("SELECT row FROM documents WHERE id = ?", document_id)
        return found[0][0] if found else None

    def _execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = getattr(self._connections, "open", None)
        if connection is None:  # one per thread
            connection = sqlite3.connect(self._address, uri=True)
            self._connections.open = connection
        return connection.execute(query, values).fetchall()


def searchable(document: Document) -> str:
    """Return the text in which words are looked for."""
    return f"{document.title}\n{document.text}"


def _document(values: tuple[Any, ...]) -> Document:
    document_id, title, text, metadata = values
    return Document(document_id, title, text, json.loads(metadata) if metadata else {})
