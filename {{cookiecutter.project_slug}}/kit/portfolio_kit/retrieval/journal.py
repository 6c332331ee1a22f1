"""The changes that the API made to the documents, on disk before they are acknowledged."""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from .documents import Document

SCHEMA = 1  # in the file as user_version; 0 is that of files from before it was counted
TABLE = """
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows with each change
    id TEXT UNIQUE NOT NULL,
    title TEXT, text TEXT,                     -- no text: the document is deleted
    metadata TEXT,
    model TEXT, vectors BLOB                   -- of its passages, float16, and what computed them
)
"""
# What schema 1 adds: how large each change is, and the newest deletion that was dropped.
MIGRATION = (
    """ALTER TABLE changes ADD COLUMN bytes INTEGER AS (
        length(CAST(id AS BLOB)) + coalesce(length(CAST(title AS BLOB)), 0)
        + coalesce(length(CAST(text AS BLOB)), 0) + coalesce(length(CAST(metadata AS BLOB)), 0)
        + coalesce(length(vectors), 0)
    )""",
    "CREATE INDEX sizes ON changes (bytes)",
    "CREATE TABLE dropped (number INTEGER NOT NULL)",
    "INSERT INTO dropped VALUES (0)",
    f"PRAGMA user_version={SCHEMA}",
)
COLUMNS = "id, title, text, metadata, model, vectors"
BUSY_SECONDS = 10  # to wait while another process writes
UNWRITABLE = ("SQLITE_READONLY", "SQLITE_CANTOPEN")  # how errors begin that a read-only disk makes
FULL = (
    "serve.{} is {:,}: no room for this change; delete documents that were added here, or raise "
    "the limit"
)
log = logging.getLogger(__package__)


class Change(NamedTuple):
    """A document as it is now, or None if it is deleted."""

    id: str
    document: Document | None = None
    model: str = ""  # what computed the vectors: `Manifest.embedding`
    vectors: np.ndarray = np.empty(0, dtype=np.float16)  # its passages, one after the other
    number: int = 0  # set by the journal


class Room(NamedTuple):
    """How much a journal may hold: changes, and bytes of their ids, texts and vectors."""

    changes: int
    megabytes: int


class FullError(UserError):
    """A journal has no room for a change."""


class Journal:
    """The newest change of each document, in one SQLite file that several processes may share.

    A file that cannot be written is read, and `is_read_only`.
    """

    def __init__(
        self,
        path: Path,
        room: Room | None = None,
        is_stored: Callable[[str], bool] = lambda document_id: True,
    ) -> None:
        """is_stored: whether a document comes back if its deletion is dropped to make room."""
        self._path, self._room, self._is_stored = path, room, is_stored
        self._write_lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self.is_read_only = False
        with self._usable():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.OperationalError as error:
                if not path.is_file() or not error.sqlite_errorname.startswith(UNWRITABLE):
                    raise
                self._open_to_read()
                log.warning("serve.changes: %s is read-only: documents cannot change here", path)

    def write(self, changes: Sequence[Change]) -> None:
        """Write all changes to disk, or none of them.

        Raises `FullError` if they take more room than there is, `UserError` if writing fails.
        """
        rows = [_row(change) for change in changes]
        with self._usable(), self._write_lock, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                f"INSERT OR REPLACE INTO changes ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            self._make_room()

    def write_vectors(self, changes: Sequence[Change]) -> None:
        """Replace the vectors of those changes that are still the newest of their document."""
        rows = [(change.model, _blob(change.vectors), change.number) for change in changes]
        with self._usable(), self._write_lock, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(
                "UPDATE changes SET model = ?, vectors = ? WHERE number = ?", rows
            )

    def since(self, number: int) -> list[Change]:
        """Return the changes after the one with this number, oldest first.

        Raises `UserError` for a damaged one.
        """
        query = f"SELECT {COLUMNS}, number FROM changes WHERE number > ? ORDER BY number"
        with self._usable():
            rows = self._reader.execute(query, (number,)).fetchall()
        return [self._change(row) for row in rows]

    def dropped(self) -> int:
        """Return the number of the newest deletion that was dropped to make room, or 0."""
        if not self._schema:
            return 0
        with self._usable():
            [(number,)] = self._reader.execute("SELECT number FROM dropped").fetchall()
        return number

    def version(self) -> int:
        """Return a number that differs after each change, whichever process made it."""
        with self._usable():
            [(version,)] = self._reader.execute("PRAGMA data_version").fetchall()
        return version

    def close(self) -> None:
        """Close the file; the last process to do so leaves one file that holds everything."""
        with self._usable(), self._write_lock:
            for connection in self._connections:
                connection.close()

    def _open(self) -> None:
        self._reader, self._writer = self._connect(), self._connect()
        schema = self._known_schema(self._writer)  # before anything is written
        # With a write-ahead log, readers and the writer do not wait for each other.
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute("PRAGMA synchronous=FULL")  # a commit is on disk when it returns
        if schema < SCHEMA:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                if self._known_schema(self._writer) < SCHEMA:  # nor has another process migrated it
                    for statement in (TABLE, *MIGRATION):
                        self._writer.execute(statement)
        self._schema = self._known_schema(self._reader)

    def _open_to_read(self) -> None:
        """Open a file on a disk, or in a folder, that cannot be written."""
        self.close()
        self.is_read_only = True
        waiting = Path(f"{self._path}-wal")
        if waiting.exists() and waiting.stat().st_size:
            raise UserError(
                f"serve.changes: {waiting} holds changes by a process that was killed, and reading "
                "them takes a folder that can be written"
            )
        # Without a folder to write to, SQLite opens only what it is told never changes.
        address = f"{self._path.resolve().as_uri()}?mode=ro&immutable=1"
        self._reader = self._writer = self._connect(address)
        self._schema = self._known_schema(self._reader)

    def _connect(self, address: str | Path | None = None) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address or self._path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=address is not None,
        )
        # Damaged text is reported with its row instead of by SQLite.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        self._connections.append(connection)
        return connection

    def _known_schema(self, connection: sqlite3.Connection) -> int:
        """Return the file's schema; raises `UserError` for one that this code does not know."""
        [(schema,)] = connection.execute("PRAGMA user_version").fetchall()
        if schema > SCHEMA:
            raise UserError(
                f"serve.changes: {self._path} has schema {schema}, and this code knows {SCHEMA}: "
                "a newer version wrote it; run that one, or name another file"
            )
        columns = connection.execute("SELECT name FROM pragma_table_info('changes')").fetchall()
        is_new = not connection.execute("SELECT name FROM sqlite_master").fetchall()
        if not (is_new or {*COLUMNS.split(", "), "number"} <= {name for (name,) in columns}):
            raise UserError(
                f"serve.changes: {self._path} is a database of something else; name another file"
            )
        return schema

    def _size(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Return how many changes a connection sees, and their bytes."""
        [(count, size)] = connection.execute(
            "SELECT count(bytes), coalesce(sum(bytes), 0) FROM changes INDEXED BY sizes"
        ).fetchall()
        return count, size

    def _make_room(self) -> None:
        """Drop the oldest deletions that hide nothing, as far as needed; raise if that is too few.

        What is above a limit already, because that was lowered, may stay, but not grow.
        """
        if self._room is None:
            return
        count, size = self._size(self._writer)
        most, most_bytes = self._room.changes, self._room.megabytes * 1_000_000
        if count <= most and size <= most_bytes:
            return
        query = "SELECT number, id, bytes FROM changes WHERE text IS NULL ORDER BY number"
        newest = 0
        for number, document_id, freed in self._writer.execute(query).fetchall():
            if count <= most and size <= most_bytes:
                break
            if not self._is_stored(document_id):
                self._writer.execute("DELETE FROM changes WHERE number = ?", (number,))
                count, size, newest = count - 1, size - freed, number
        self._writer.execute("UPDATE dropped SET number = max(number, ?)", (newest,))
        earlier, earlier_size = self._size(self._reader)  # which sees what is committed
        if count > max(most, earlier):
            raise FullError(FULL.format("max_changes", most))
        if size > max(most_bytes, earlier_size):
            raise FullError(FULL.format("max_changes_megabytes", self._room.megabytes))

    def _change(self, row: tuple[Any, ...]) -> Change:
        try:
            return _parsed(*row)
        except ValueError as error:
            raise self.damaged(row[0], row[-1], str(error)) from None

    def damaged(self, document_id: object, number: int, reason: str) -> UserError:
        """Return an error that says which change is damaged, how, and what to do."""
        return UserError(
            f"serve.changes: {self._path}: document {document_id!r:.200} (number {number} in the "
            f"table changes) is damaged: {reason}; restore a backup, or delete this row"
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


def _parsed(
    document_id: Any, title: Any, text: Any, metadata: Any, model: Any, blob: Any, number: int
) -> Change:
    """Return a row as a change; raises ValueError with what is wrong with it."""
    if text is None:
        return Change(_checked("id", document_id), number=number)
    texts = {"title": title, "text": text, "metadata": metadata, "model": model}
    for name, value in {"id": document_id, **texts}.items():
        _checked(name, value)
    try:
        known = json.loads(metadata)
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise ValueError("its metadata is not a JSON object")
    if not isinstance(blob, bytes) or len(blob) % 2:
        raise ValueError("its vectors are not 16-bit numbers")
    document = Document(document_id, title, text, known)
    return Change(document_id, document, model, np.frombuffer(blob, dtype="<f2"), number)


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"its {name} is {type(value).__name__}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"its {name} is not UTF-8") from None
    return value
