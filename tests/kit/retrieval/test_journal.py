"""The journal of changes: written changes survive, and every process sees them."""

import sqlite3
import subprocess
import sys
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
    assert str(caught.value).startswith(f"serve.changes: {PATH} cannot be used: no such column")


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
