"""The document store returns what was written, in order and to any thread."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portfolio_kit.retrieval import documents
from portfolio_kit.retrieval.documents import Document, Documents, searchable

STORE = Path("documents.sqlite")
ODD = [
    Document("a", "One", "first"),
    Document("b/c?d#e%20 'f\"", "", "line\nends\r\nand\ttabs"),
    Document(
        "ü😀",
        "水が漏れる",
        "\x00 and \u2028",
        {"year": 1999, "by": ["Zoë", None], "deep": {"x": 1.5}},
    ),
    Document("x" * 200, "only a title", ""),
    Document("7", "7", "7", {"7": 7}),
]


def many(count, size=10):
    return (Document(f"d{n}", f"title {n}", f"text {n} " * size) for n in range(count))


def test_documents_are_returned_as_they_were_written():
    assert documents.write(STORE, ODD) == len(ODD)
    stored = Documents(STORE)
    assert len(stored) == len(ODD)
    for row, document in enumerate(ODD):
        assert stored.at(row) == document
        assert stored.row_of(document.id) == row
        assert stored.by_id(document.id) == document
        assert stored[row] == searchable(document) == f"{document.title}\n{document.text}"
    assert list(stored) == [searchable(document) for document in ODD]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_documents_are_read_from_any_row_on(count):
    documents.write(STORE, many(count))
    stored = Documents(STORE)
    assert len(stored) == count
    for start in {0, 1, 998, 1000, count - 1, count, count + 1} - {-1}:
        found = [document.id for document in stored.from_row(start)]
        assert found == [f"d{n}" for n in range(start, count)]


@pytest.mark.parametrize("unknown", ["", "A", "a ", "d0"])
def test_an_unknown_id_has_no_row(unknown):
    documents.write(STORE, ODD)
    assert Documents(STORE).row_of(unknown) is None
    with pytest.raises(KeyError):
        Documents(STORE).by_id(unknown)


def test_a_repeated_id_is_named():
    with pytest.raises(documents.DuplicateError, match=r"^d1$"):
        documents.write(STORE, [*many(3), *many(2, size=1)][1:])


def test_a_new_store_replaces_the_old_one():
    documents.write(STORE, many(5))
    documents.write(STORE, ODD)
    assert len(Documents(STORE)) == len(ODD)
    assert documents.write(STORE, []) == 0
    assert list(Documents(STORE)) == []


def test_the_same_documents_give_the_same_bytes():
    for name in ("one", "other"):
        documents.write(Path(name), [*ODD, *many(500)])
    assert Path("one").read_bytes() == Path("other").read_bytes()


def test_writing_and_reading_hold_few_documents_in_memory(peak_memory):
    def write_and_read():
        documents.write(STORE, many(20_000, size=200))
        for _ in Documents(STORE).from_row(0):
            pass

    assert peak_memory(write_and_read) < 6_000_000
    assert STORE.stat().st_size > 30_000_000


def test_a_store_is_never_written_to():
    documents.write(STORE, ODD)
    stored = Documents(STORE)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        stored._execute("DELETE FROM documents")
    assert sorted(path.name for path in Path().iterdir()) == ["documents.sqlite", "params.yaml"]


def test_several_threads_may_read():
    documents.write(STORE, many(300))
    stored = Documents(STORE)
    together = threading.Barrier(8)

    def read(offset):
        together.wait()
        return [stored.at((row + offset) % 300).id for row in range(300)]

    with ThreadPoolExecutor(8) as threads:
        for offset, found in enumerate(threads.map(read, range(8))):
            assert found == [f"d{(row + offset) % 300}" for row in range(300)]
