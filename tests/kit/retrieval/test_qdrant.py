"""A Qdrant server gives the same answers: here Qdrant's own, in memory."""

import socket
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient
from retrieval.toy import INDEX

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval import qdrant
from portfolio_kit.retrieval.index import build, open_index
from portfolio_kit.retrieval.vectors import OFFSETS, VECTORS, Exact, Vectors

URL = "http://127.0.0.1:6333"
NAME = "passages-0123456789ab"


@pytest.fixture
def memory(monkeypatch):
    """A Qdrant in memory that every client is connected to."""
    client = QdrantClient(":memory:")
    monkeypatch.setattr(qdrant, "connect", lambda url: client)
    return client


@pytest.fixture
def stored():
    """600 vectors in 300 documents of one to three passages."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(600, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(VECTORS, vectors.astype(np.float16))
    np.save(OFFSETS, np.cumsum([0, *[1, 2, 3] * 100]))
    return Vectors(Path())


def queries(count):
    vectors = np.random.default_rng(2).normal(size=(count, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("storage", ["f16", "i8"])
def test_it_answers_like_exact_search(storage, memory, stored):
    options = INDEX.model_copy(update={"qdrant_url": URL, "storage": storage})
    record = build(Path(), "key", options, threads=1)
    assert (record.kind, record.collection) == ("qdrant", f"passages-key-{storage}")
    assert memory.count(record.collection).count == record.passages == 600
    index, exact = open_index(Path(), stored, record, exact=False), Exact(stored)
    assert isinstance(index, qdrant.Qdrant)
    for query in queries(20):
        for count in (1, 10, 300, 1000):
            rows, scores = index.search(query, count)
            expected, values = exact.search(query, count)
            np.testing.assert_allclose(scores, values, atol=1e-5)
            assert rows[:10].tolist() == expected[:10].tolist()
    assert isinstance(open_index(Path(), stored, record, exact=True), Exact)


def test_passages_are_sent_once(memory, stored, monkeypatch):
    qdrant.write(stored, NAME, URL, "f16")
    assert memory.count(NAME).count == 600

    def fail(*arguments, **named):
        raise AssertionError("they are there already")

    monkeypatch.setattr(memory, "upsert", fail)
    qdrant.write(stored, NAME, URL, "f16")


def test_an_interrupted_transfer_is_completed(memory, stored, monkeypatch):
    whole, sent = memory.upsert, []

    def break_off(*arguments, **named):
        if sent:
            raise ConnectionError("gone")
        sent.append(whole(*arguments, **named))

    monkeypatch.setattr(memory, "upsert", break_off)
    with pytest.raises(UserError, match=f"^index.qdrant_url: {URL} cannot be used: gone$"):
        qdrant.write(stored, NAME, URL, "f16")
    assert memory.count(NAME).count == qdrant.PART
    monkeypatch.setattr(memory, "upsert", whole)
    qdrant.write(stored, NAME, URL, "f16")
    assert memory.count(NAME).count == 600


def test_two_corpora_are_two_collections(memory, stored):
    qdrant.write(stored, NAME, URL, "f16")
    np.save(VECTORS, stored.passages[:10])
    np.save(OFFSETS, np.arange(11))
    few = Vectors(Path())
    qdrant.write(few, "passages-other", URL, "f16")
    index = qdrant.Qdrant(few, "passages-other", URL)
    query = queries(1)[0]
    assert index.search(query, 50)[0].tolist() == Exact(few).search(query, 50)[0].tolist()


def test_each_storage_has_its_own_collection(memory, stored):
    for storage in ("f16", "i8"):
        build(Path(), "key", INDEX.model_copy(update={"qdrant_url": URL, "storage": storage}), 1)
    assert len(memory.get_collections().collections) == 2


@pytest.mark.parametrize("there", [None, 0, 256])
def test_an_incomplete_collection_is_rejected(there, memory, stored):
    if there is not None:
        qdrant.write(stored, NAME, URL, "f16")
        memory.delete(NAME, points_selector=list(range(there, 600)))
    with pytest.raises(UserError) as caught:
        qdrant.Qdrant(stored, NAME, URL)
    assert str(caught.value) == (
        f"index.qdrant_url: {URL} holds {there or 0} of 600 passages in the collection {NAME}; "
        "run `make train` again"
    )


def test_a_missing_server_is_reported_in_a_plain_line(stored):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for use in (
        lambda: qdrant.write(stored, NAME, url, "f16"),
        lambda: qdrant.Qdrant(stored, NAME, url),
    ):
        with pytest.raises(UserError) as caught:
            use()
        line = str(caught.value)
        assert line.startswith(f"index.qdrant_url: {url} cannot be used: ")
        assert "refused" in line
        assert "\n" not in line


@pytest.mark.parametrize("url", ["127.0.0.1:6333", "nonsense", "http://", "ftp://127.0.0.1"])
def test_an_invalid_address_is_reported_in_a_plain_line(url, stored):
    with pytest.raises(UserError, match=f"^index.qdrant_url: {url} cannot be used: "):
        qdrant.write(stored, NAME, url, "f16")


def test_another_service_at_the_address_is_reported_in_a_plain_line(stored, server):
    with pytest.raises(UserError, match=f"^index.qdrant_url: {server.url} cannot be used: "):
        qdrant.write(stored, NAME, server.url, "f16")


def test_a_server_that_stops_while_searching_is_reported(memory, stored, monkeypatch):
    qdrant.write(stored, NAME, URL, "f16")
    index = qdrant.Qdrant(stored, NAME, URL)

    def fail(*arguments, **named):
        raise ConnectionError("connection lost")

    monkeypatch.setattr(memory, "query_points", fail)
    with pytest.raises(UserError) as caught:
        index.search(queries(1)[0], 5)
    assert str(caught.value) == f"index.qdrant_url: {URL} cannot be used: connection lost"
