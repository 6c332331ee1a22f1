"""The changes that the API made to the documents, on disk before they are acknowledged."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from .documents import Document

TABLE = """
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows with each change
    id TEXT UNIQUE NOT NULL,
    title TEXT, text TEXT,                     -- no text: the document is deleted
    metadata TEXT,
    model TEXT, vectors BLOB                   -- of its passages, float16, and what computed them
)
"""
COLUMNS = "id, title, text, metadata, model, vectors"
BUSY_SECONDS = 10  # to wait while another process writes


class Change(NamedTuple):
    """A document as it is now, or None if it is deleted."""

    id: str
    document: Document | None = None
    model: str = ""  # what computed the vectors: `Manifest.embedding`
    vectors: np.ndarray = np.empty(0, dtype=np.float16)  # its passages, one after the other
    number: int = 0  # set by the journal


class Journal:
    """The newest change of each document, in one SQLite file that several processes may share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        with self._usable():
            path.parent.mkdir(parents=True, exist_ok=True)
            # With a write-ahead log, readers and the writer do not wait for each other.
            self._reader, self._writer = self._connect(), self._connect()
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")  # a commit is on disk when it returns
            self._writer.execute(TABLE)
            self._reader.execute("SELECT 1 FROM changes").fetchall()

    def write(self, changes: Sequence[Change]) -> None:
        """Write all changes to disk, or none of them; raises `UserError` if that fails."""
        rows = [_row(change) for change in changes]
        with self._usable(), self._write_lock, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                f"INSERT OR REPLACE INTO changes ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def write_vectors(self, changes: Sequence[Change]) -> None:
        """Replace the vectors of those changes that are still the newest of their document."""
        rows = [(change.model, _blob(change.vectors), change.number) for change in changes]
        with self._usable(), self._write_lock, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                "UPDATE changes SET model = ?, vectors = ? WHERE number = ?", rows
            )

    def since(self, number: int) -> list[Change]:
        """Return the changes after the one with this number, oldest first."""
        query = f"SELECT {COLUMNS}, number FROM changes WHERE number > ? ORDER BY number"
        with self._usable():
            return [_change(row) for row in self._reader.execute(query, (number,)).fetchall()]

    def version(self) -> int:
        """Return a number that differs after each change, whichever process made it."""
        with self._usable():
            [(version,)] = self._reader.execute("PRAGMA data_version").fetchall()
        return version

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Raise `UserError` for whatever is wrong with the file or its disk."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"serve.changes: {self._path} cannot be used: {error}") from error


def _row(change: Change) -> tuple[str | bytes | None, ...]:
    if change.document is None:
        return change.id, None, None, None, None, None
    _, title, text, metadata = change.document
    values = json.dumps(dict(metadata), ensure_ascii=False), change.model, _blob(change.vectors)
    return change.id, title, text, *values


def _blob(vectors: np.ndarray) -> bytes:
    return vectors.astype("<f2").tobytes()


def _change(row: tuple[Any, ...]) -> Change:
    document_id, title, text, metadata, model, blob, number = row
    if text is None:
        return Change(document_id, number=number)
    document = Document(document_id, title, text, json.loads(metadata))
    return Change(document_id, document, model, np.frombuffer(blob, dtype="<f2"), number)
