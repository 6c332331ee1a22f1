"""What an index misses of an exact search is measured, whatever the index."""

from pathlib import Path

import numpy as np
import pytest
from retrieval import toy

from portfolio_kit.retrieval import graph, quality
from portfolio_kit.retrieval.collection import Collection
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.graph import GRAPH, Graph

MODELS = Path("models")


@pytest.fixture
def build(write_params):
    """Write a model of 300 documents with this index, and open it."""
    words = [f"word{n}" for n in range(90)]

    def build(exact_below, exact=False):
        random = np.random.default_rng(1)
        found = [Document(str(n), "", " ".join(random.choice(words, 5))) for n in range(300)]
        options = toy.INDEX.model_copy(update={"exact_below": exact_below})
        manifest = toy.write(MODELS, found, options)
        return Collection(MODELS, manifest, write_params({"exact": exact}).serve, toy.embed)

    return build


def measure(collection, queries=None):
    return quality.measure(collection, queries, threads=1, seed=13)


def test_an_exact_index_is_compared_with_a_graph_built_for_the_purpose(build):
    found = measure(build(exact_below=20_000))
    assert (found.kind, found.passages) == ("exact", 300)
    assert (found.recall_at_10, found.p50_ms) == (None, None), "it is not compared with itself"
    assert [point.expansion_search for point in found.curve] == [32, 64, 128, 256, 512]
    assert all(0.9 < point.recall_at_10 <= 1 for point in found.curve)
    assert min(found.exact_p50_ms, *(one.p50_ms for one in found.curve)) > 0
    assert not (MODELS / GRAPH).exists()


def test_without_queries_a_graph_is_measured_by_its_own_passages(build):
    found = measure(build(exact_below=0))
    assert found.kind == "hnsw"
    assert found.recall_at_10 > 0.95
    assert len(found.curve) == 5


def test_an_index_that_is_served_exactly_is_called_exact(build):
    found = measure(build(exact_below=0, exact=True))
    assert (found.kind, found.recall_at_10) == ("exact", None)


def test_a_graph_that_misses_documents_is_reported(build, monkeypatch):
    """Noise for vectors, one candidate looked at: a graph finds some of the nearest, not all."""
    collection = build(exact_below=0)
    vectors, noise = collection.vectors, np.random.default_rng(1).normal(size=(3000, 32))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    monkeypatch.setattr(vectors, "passages", noise.astype(np.float16))
    monkeypatch.setattr(vectors, "offsets", np.arange(3001))
    poor = toy.INDEX.model_copy(update={"connectivity": 4, "expansion_add": 8})
    graph.write(vectors, MODELS / GRAPH, poor, threads=1)
    monkeypatch.setattr(quality, "EXPANSIONS", (1, 256, 2000))
    monkeypatch.setattr(collection, "index", Graph(vectors, MODELS / GRAPH, 1))
    found = measure(collection, noise[:50].astype(np.float32))
    recalls = [point.recall_at_10 for point in found.curve]
    assert found.recall_at_10 == pytest.approx(recalls[0], abs=0.02)
    assert recalls[0] < 0.9
    assert recalls[0] < recalls[1] < recalls[2]
