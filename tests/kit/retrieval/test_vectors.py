"""Indexes over vectors, compared with looking at all of them in numpy."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from retrieval.toy import INDEX
from tiny import stages

from portfolio_kit.retrieval import graph
from portfolio_kit.retrieval.graph import GRAPH, Graph
from portfolio_kit.retrieval.index import build, open_index
from portfolio_kit.retrieval.vectors import OFFSETS, VECTORS, Exact, Vectors

DIMENSIONS = 24


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def clustered(count, seed):
    """Return vectors around a hundred centres, as those of texts on a hundred topics."""
    centres = np.random.default_rng(0).normal(size=(100, DIMENSIONS))
    random = np.random.default_rng(seed)
    return unit(
        centres[random.integers(100, size=count)] + random.normal(0, 0.6, (count, DIMENSIONS))
    )


def store(vectors, lengths, folder="."):
    """Write the vectors of documents with these numbers of passages."""
    Path(folder).mkdir(exist_ok=True)
    np.save(Path(folder) / VECTORS, vectors.astype(np.float16))
    np.save(Path(folder) / OFFSETS, np.concatenate([[0], np.cumsum(lengths)]))
    return Vectors(Path(folder))


def nearest(vectors, lengths, query, count):
    """Return rows and scores of the documents with the best passages, by comparing all."""
    scores = vectors.astype(np.float16).astype(np.float64) @ query
    owners = np.repeat(np.arange(len(lengths)), lengths)
    best = [scores[owners == row].max() for row in range(len(lengths))]
    rows = sorted(range(len(lengths)), key=lambda row: (-best[row], row))[:count]
    return rows, [best[row] for row in rows]


@pytest.fixture
def many():
    """3,000 vectors in 1,200 documents of one to four passages, as arrays and as stored."""
    random = np.random.default_rng(1)
    lengths = random.integers(1, 5, size=1200)
    lengths = lengths[np.cumsum(lengths) <= 3000]
    lengths[-1] += 3000 - lengths.sum()
    vectors = clustered(3000, seed=2)
    return vectors, lengths, store(vectors, lengths)


def write_graph(stored, **changes):
    """Write the graph over stored vectors; return its path."""
    graph.write(stored, Path(GRAPH), INDEX.model_copy(update=changes), threads=1)
    return Path(GRAPH)


@pytest.mark.parametrize("count", [1, 10, 5000])
def test_exact_search_finds_the_documents_with_the_best_passages(count, many):
    vectors, lengths, stored = many
    index = Exact(stored)
    for query in clustered(20, seed=3).astype(np.float32):
        rows, scores = index.search(query, count)
        expected, values = nearest(vectors, lengths, query, count)
        np.testing.assert_allclose(scores, values, atol=1e-5)
        assert rows[:10].tolist() == expected[:10]
        assert len(set(rows.tolist())) == len(expected)


def test_a_documents_own_vectors_are_found(many):
    vectors, lengths, stored = many
    starts = np.cumsum(lengths) - lengths
    for row in (0, 1, 500, len(lengths) - 1):
        mine = vectors[starts[row] : starts[row] + lengths[row]].astype(np.float16)
        np.testing.assert_array_equal(stored.of_document(row), mine.astype(np.float32))
    owners = stored.rows_of(np.arange(len(vectors)))
    np.testing.assert_array_equal(owners, np.repeat(np.arange(len(lengths)), lengths))


@pytest.mark.parametrize("storage", ["f16", "i8"])
def test_the_graph_finds_nearly_all_of_the_nearest_and_scores_them_exactly(storage, many):
    vectors, lengths, stored = many
    index = Graph(stored, write_graph(stored, storage=storage), expansion_search=64)
    found = 0
    for query in clustered(50, seed=4).astype(np.float32):
        rows, scores = index.search(query, 10)
        expected, _ = nearest(vectors, lengths, query, 10)
        found += len({*rows.tolist()} & {*expected})
        assert len(set(rows.tolist())) == len(rows) == 10
        exact = dict(zip(*nearest(vectors, lengths, query, len(lengths)), strict=True))
        np.testing.assert_allclose(scores, [exact[row] for row in rows], atol=1e-5)
        assert (np.diff(scores) <= 0).all()
    assert found / 500 >= 0.95


def test_looking_at_more_candidates_finds_more(many):
    vectors, lengths, stored = many
    path = write_graph(stored, connectivity=4, expansion_add=8)
    recalls = []
    for expansion in (1, 400):
        index = Graph(stored, path, expansion)
        found = 0
        for query in clustered(50, seed=4).astype(np.float32):
            expected, _ = nearest(vectors, lengths, query, 10)
            found += len({*index.search(query, 10)[0].tolist()} & {*expected})
        recalls.append(found)
    assert recalls[0] < recalls[1]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_a_document_of_very_many_passages_displaces_no_others(kind):
    query = unit(np.ones(DIMENSIONS)).astype(np.float32)
    random = np.random.default_rng(5)
    long = unit(query + random.normal(0, 0.01, (300, DIMENSIONS)))
    others = clustered(20, seed=6)
    lengths = [300, *[1] * 20]
    stored = store(np.concatenate([long, others]), lengths)
    index = Exact(stored) if kind == "exact" else Graph(stored, write_graph(stored), 64)
    rows, _ = index.search(query, 5)
    assert rows.tolist() == nearest(np.concatenate([long, others]), lengths, query, 5)[0]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_asking_for_more_than_there_are_returns_all(kind):
    vectors, lengths = clustered(9, seed=7), [2, 3, 1, 3]
    stored = store(vectors, lengths)
    index = Exact(stored) if kind == "exact" else Graph(stored, write_graph(stored), 64)
    query = clustered(1, seed=8)[0].astype(np.float32)
    for count in (4, 5, 1000):
        assert index.search(query, count)[0].tolist() == nearest(vectors, lengths, query, 4)[0]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_ties_go_to_the_first(kind):
    vector = unit(np.ones(DIMENSIONS)).astype(np.float32)
    stored = store(np.tile(vector, (12, 1)), [1] * 12)
    index = Exact(stored) if kind == "exact" else Graph(stored, write_graph(stored), 64)
    rows, scores = index.search(vector, 12)
    assert rows.tolist() == list(range(12))
    assert np.ptp(scores) == 0


@pytest.mark.parametrize(("exact_below", "kind"), [(3001, Exact), (3000, Graph), (0, Graph)])
def test_from_so_many_passages_on_a_graph_is_built(exact_below, kind, many):
    _, _, stored = many
    options = INDEX.model_copy(update={"exact_below": exact_below})
    record = build(Path(), "key", options, threads=1)
    assert record.kind == ("exact" if kind is Exact else "hnsw")
    assert (record.passages, record.settings) == (3000, options)
    assert Path(GRAPH).exists() is (kind is Graph)
    assert isinstance(open_index(Path(), stored, record, exact=False), kind)
    assert isinstance(open_index(Path(), stored, record, exact=True), Exact)


def test_several_threads_may_search_a_graph(many):
    _, _, stored = many
    index = Graph(stored, write_graph(stored), 64)
    queries = clustered(100, seed=9).astype(np.float32)
    alone = [index.search(query, 5)[0].tolist() for query in queries]
    together = threading.Barrier(6)

    def search(_):
        together.wait()
        return [index.search(query, 5)[0].tolist() for query in queries]

    with ThreadPoolExecutor(6) as threads:
        assert all(found == alone for found in threads.map(search, range(6)))


PROGRAM = """
import sys
from pathlib import Path
from portfolio_kit.retrieval import graph, vectors
import numpy as np, onnxruntime
stored = vectors.Vectors(Path())
index = graph.Graph(stored, Path(graph.GRAPH), 64)
assert len(index.search(stored.passages[0].astype(np.float32), 5)[0]) == 5
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


def test_the_index_and_the_encoder_work_in_one_process(many):
    """Loaded in the wrong order, their libraries crash it."""
    _, _, stored = many
    write_graph(stored)
    onnx.save(stages.network(), "model.onnx")
    command = [sys.executable, "-c", PROGRAM, "model.onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
