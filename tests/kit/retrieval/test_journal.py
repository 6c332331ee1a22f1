"""The journal of changes: written changes survive, and every process sees them."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import journal as journals
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.journal import Change, Journal

PATH = Path("changes/documents.sqlite")
VECTORS = np.array([[0.5, -0.25], [1, 0]])


def change(document_id, text="text", model="m1", **more):
    return Change(document_id, Document(document_id, "Title", text, more), model, VECTORS)


def texts(journal, after=0):
    found = journal.since(after)
    return {one.id: one.document.text if one.document else None for one in found}


@pytest.fixture
def journal():
    """An empty journal."""
    one = Journal(PATH)
    yield one
    one.close()


def test_written_changes_are_there_after_reopening(journal):
    document = Document("b/c?", "水", "line\nend \x00 é", {"year": 1999, "by": ["Zoë", None]})
    journal.write([change("a"), Change("b/c?", document, "m1", VECTORS), Change("c")])
    journal.close()
    one, two, three = Journal(PATH).since(0)
    assert two.document == document
    assert (one.id, two.id, three.id) == ("a", "b/c?", "c")
    assert two.model == "m1"
    np.testing.assert_array_equal(two.vectors, VECTORS.ravel().astype(np.float16))
    assert three.document is None
    assert one.number < two.number < three.number


def test_only_the_newest_change_of_a_document_counts(journal):
    journal.write([change("a", "one"), change("b", "two")])
    newest = journal.since(0)[-1].number
    journal.write([change("a", "three")])
    assert texts(journal) == {"b": "two", "a": "three"}
    assert texts(journal, after=newest) == {"a": "three"}
    journal.write([Change("b")])
    journal.write([Change("a"), change("a", "again")])
    assert texts(journal) == {"b": None, "a": "again"}


def test_numbers_are_never_reused(journal):
    journal.write([change("a")])
    first = journal.since(0)[-1].number
    journal.write([Change("a")])
    journal.write([change("a")])
    assert journal.since(0)[-1].number == first + 2
    assert journal.since(first + 2) == []


def test_the_version_differs_after_each_change_whoever_made_it(journal):
    other = Journal(PATH)
    for write in (
        lambda: journal.write([change("a")]),
        lambda: other.write([change("b")]),
        lambda: other.write([Change("a")]),
    ):
        before = journal.version(), other.version()
        assert before == (journal.version(), other.version())
        write()
        assert journal.version() != before[0]
        assert other.version() != before[1]
        assert texts(journal) == texts(other)
    other.close()


def test_another_process_sees_what_was_written_and_is_seen(journal):
    journal.write([change("a")])
    program = (
        "from portfolio_kit.retrieval.journal import Change, Journal; from pathlib import Path\n"
        f"journal = Journal(Path({PATH.as_posix()!r}))\n"
        "assert [one.id for one in journal.since(0)] == ['a']\n"
        "journal.write([Change('b')])\n"
    )
    before = journal.version()
    subprocess.run([sys.executable, "-c", program], check=True)
    assert journal.version() != before
    assert texts(journal) == {"a": "text", "b": None}


def test_all_of_several_changes_are_written_or_none(journal):
    journal.write([change("a", "one")])
    # The last one cannot be written: it has no id.
    with pytest.raises(UserError, match="cannot be used"):
        journal.write([change("a", "two"), change("b"), change(None)])
    assert texts(journal) == {"a": "one"}
    journal.write([change("b")])  # and the next are written
    assert texts(Journal(PATH)) == {"a": "one", "b": "text"}


def test_a_full_disk_is_reported_and_nothing_is_half_written(journal):
    journal.write([change("a", "one")])
    [(pages,)] = journal._writer.execute("PRAGMA page_count").fetchall()
    journal._writer.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(UserError) as caught:
        journal.write([change("a", "two"), change("b", "x" * 100_000)])
    assert str(caught.value) == (f"serve.changes: {PATH} cannot be used: database or disk is full")
    assert texts(journal) == {"a": "one"}
    journal._writer.execute("PRAGMA max_page_count=1000000")
    journal.write([change("b", "x" * 100_000)])
    assert set(texts(Journal(PATH))) == {"a", "b"}


def test_vectors_are_replaced_only_in_changes_that_are_still_the_newest(journal):
    journal.write([change("a"), change("b", "old")])
    old = journal.since(0)
    journal.write([change("b", "new")])
    others = [one._replace(model="m2", vectors=-VECTORS) for one in old]
    journal.write_vectors(others)
    found = {one.id: one for one in Journal(PATH).since(0)}
    assert found["a"].model == "m2"
    np.testing.assert_array_equal(found["a"].vectors, -VECTORS.ravel().astype(np.float16))
    assert found["a"].number == old[0].number
    assert (found["b"].model, found["b"].document.text) == ("m1", "new")


def test_a_commit_is_on_disk_when_it_returns(journal):
    assert journal._writer.execute("PRAGMA synchronous").fetchall() == [(2,)]  # FULL
    assert journal._writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_several_threads_may_write(journal):
    other = Journal(PATH)
    together = threading.Barrier(4)

    def write(number):
        together.wait()
        for step in range(30):
            (journal if number % 2 else other).write([change(f"{number}-{step}"), change("shared")])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert set(texts(journal)) == {
        "shared",
        *(f"{n}-{step}" for n in range(4) for step in range(30)),
    }
    other.close()


def test_a_locked_file_is_waited_for_and_then_reported(journal, monkeypatch):
    monkeypatch.setattr(journals, "BUSY_SECONDS", 0.2)
    impatient = Journal(PATH)
    with sqlite3.connect(PATH, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        journal.since(0)  # readers do not wait
        with pytest.raises(UserError) as caught:
            impatient.write([change("a")])
        holder.execute("ROLLBACK")
    assert str(caught.value) == f"serve.changes: {PATH} cannot be used: database is locked"
    impatient.write([change("a")])
    assert texts(journal) == {"a": "text"}


@pytest.mark.parametrize(
    "content",
    [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000],
    ids=["text", "a damaged header"],
)
def test_a_file_that_is_not_a_journal_is_rejected_and_kept(content):
    PATH.parent.mkdir()
    PATH.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Journal(PATH)
    assert str(caught.value) == f"serve.changes: {PATH} cannot be used: file is not a database"
    assert PATH.read_bytes() == content


def test_another_kind_of_database_is_rejected():
    PATH.parent.mkdir()
    with sqlite3.connect(PATH) as other:
        other.execute("CREATE TABLE changes (id, amount)")
    with pytest.raises(UserError) as caught:
        Journal(PATH).since(0)
    assert str(caught.value) == (
        f"serve.changes: {PATH} is a database of something else; name another file"
    )


def test_a_path_where_no_file_can_be_is_rejected():
    PATH.parent.write_bytes(b"a file, not a folder")
    with pytest.raises(UserError, match=rf"^serve\.changes: {PATH} cannot be used: .*exists"):
        Journal(PATH)
    Path("folder").mkdir()
    with pytest.raises(UserError, match=r"^serve\.changes: folder cannot be used: unable to open"):
        Journal(Path("folder"))


def test_a_page_damaged_later_is_reported(journal):
    journal.write([change(str(number), "x" * 500) for number in range(100)])
    journal.close()
    content = bytearray(PATH.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * 2 * 4096
    PATH.write_bytes(content)
    with pytest.raises(UserError, match=r"^serve\.changes: .* cannot be used: database disk image"):
        Journal(PATH).since(0)


def test_a_journal_of_schema_0_is_migrated_with_what_it_holds():
    """As version 0.1 wrote it: without a number of its schema, and without sizes."""
    PATH.parent.mkdir()
    with sqlite3.connect(PATH) as old:
        old.execute(journals.TABLE)
        values = ("a\x00b", "Title", "水", '{"year": 1999}', "m1", VECTORS.astype("<f2").tobytes())
        old.execute(f"INSERT INTO changes ({journals.COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values)
        old.execute("INSERT INTO changes (id) VALUES ('gone')")
    old.close()
    for _ in range(2):
        one = Journal(PATH)
        first, second = one.since(0)
        assert first.document == Document("a\x00b", "Title", "水", {"year": 1999})
        assert second == ("gone", None, "", second.vectors, 2)
        # 3 bytes of id, 5 of title, 3 of text, 14 of metadata, 8 of vectors; and 4 of "gone"
        assert one._size(one._reader) == (2, 3 + 5 + 3 + 14 + 8 + 4)
        one.close()
    assert sqlite3.connect(PATH).execute("PRAGMA user_version").fetchall() == [(1,)]


def test_a_journal_of_a_newer_schema_is_rejected_and_kept():
    Journal(PATH).close()
    with sqlite3.connect(PATH) as newer:
        newer.execute("PRAGMA user_version=7")
    newer.close()
    content = PATH.read_bytes()
    with pytest.raises(UserError) as caught:
        Journal(PATH)
    assert str(caught.value) == (
        f"serve.changes: {PATH} has schema 7, and this code knows 1: a newer version wrote it; "
        "run that one, or name another file"
    )
    assert PATH.read_bytes() == content


def test_another_program_s_database_is_not_written_to():
    PATH.parent.mkdir()
    with sqlite3.connect(PATH) as other:
        other.execute("CREATE TABLE runs (id)")
    other.close()
    content = PATH.read_bytes()
    with pytest.raises(UserError, match=r"is a database of something else; name another file$"):
        Journal(PATH)
    assert content == PATH.read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("metadata", "{oops", "its metadata is not a JSON object"),
        ("metadata", "[1]", "its metadata is not a JSON object"),
        ("metadata", "[" * 100_000, "its metadata is not a JSON object"),
        ("metadata", None, "its metadata is NoneType, not text"),
        ("title", b"raw", "its title is bytes, not text"),
        ("text", b"raw", "its text is bytes, not text"),
        ("model", None, "its model is NoneType, not text"),
        ("vectors", b"odd", "its vectors are not 16-bit numbers"),
        ("vectors", "text", "its vectors are not 16-bit numbers"),
        ("vectors", None, "its vectors are not 16-bit numbers"),
    ],
)
def test_a_damaged_row_is_named(column, value, reason, journal):
    journal.write([change("fine"), change("bad")])
    journal._writer.execute(f"UPDATE changes SET {column} = ? WHERE id = 'bad'", (value,))
    with pytest.raises(UserError) as caught:
        journal.since(0)
    assert str(caught.value) == (
        f"serve.changes: {PATH}: document 'bad' (number 2 in the table changes) is damaged: "
        f"{reason}; restore a backup, or delete this row"
    )


def test_text_that_is_not_utf_8_is_named(journal):
    journal.write([change("bad")])
    journal._writer.execute("UPDATE changes SET text = CAST(x'61ff' AS TEXT)")
    with pytest.raises(UserError, match=r"document 'bad' .* is damaged: its text is not UTF-8; "):
        journal.since(0)


def test_once_closed_it_is_one_file_and_nothing_more_is_written(journal):
    journal.write([change("a")])
    journal.close()
    assert [path.name for path in PATH.parent.iterdir()] == [PATH.name]
    with pytest.raises(UserError, match=r"cannot be used: Cannot operate on a closed database"):
        journal.write([change("b")])
    assert texts(Journal(PATH)) == {"a": "text"}


# Opens the journal as a user who may only read, since the tests may run as root.
READER = """
import logging, os, sys
from pathlib import Path
from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.journal import Change, Journal
logging.basicConfig(format="%(message)s")
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)
try:
    journal = Journal(Path("changes/documents.sqlite"))
    print(journal.is_read_only, [one.id for one in journal.since(0)], journal.dropped())
    journal.write([Change("b")])
except UserError as error:
    print(error)
"""


@pytest.fixture
def read_as_another():
    """Open the journal where nothing can be written; return what is printed, and the log."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is for one user

        def read_as_another(*names):
            os.chmod(folder, 0o755)
            place = Path(folder) / PATH
            place.parent.mkdir()
            for name in names:
                shutil.copyfile(PATH.with_name(name), place.with_name(name))
                place.with_name(name).chmod(0o444)
            place.parent.chmod(0o555)
            command = [sys.executable, "-c", READER, folder]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
            place.parent.chmod(0o755)
            return done.stdout.splitlines(), done.stderr

        yield read_as_another


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("schema", [0, 1])
def test_where_nothing_can_be_written_it_is_read(schema, journal, read_as_another):
    journal.write([change("a")])
    if not schema:
        for statement in ("DROP TABLE dropped", "DROP INDEX sizes", "PRAGMA user_version=0"):
            journal._writer.execute(statement)
    journal.close()
    (seen, error), log = read_as_another(PATH.name)
    assert seen == "True ['a'] 0"
    assert error.startswith(f"serve.changes: {PATH} cannot be used: attempt to write a readonly")
    assert log == f"serve.changes: {PATH} is read-only: documents cannot change here\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_what_a_killed_process_left_is_not_ignored_there(journal, read_as_another):
    journal.write([change("a")])
    [error], _ = read_as_another(PATH.name, f"{PATH.name}-wal")
    assert error.startswith(f"serve.changes: {PATH}-wal holds changes by a process that was killed")
