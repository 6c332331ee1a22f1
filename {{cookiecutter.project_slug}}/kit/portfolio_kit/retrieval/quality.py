"""What the index misses of an exact search, and the time that it saves."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import graph
from .collection import Collection
from .graph import GRAPH, Graph
from .records import IndexQuality, Point
from .vectors import Exact, Nearest, Vectors

K = 10
MAX_QUERIES = 1_000
EXPANSIONS = (32, 64, 128, 256, 512)


def measure(
    collection: Collection, queries: np.ndarray | None, threads: int, seed: int
) -> IndexQuality:
    """Return recall@10 and median time of the served index, of exact search, and of a graph.

    queries: vectors (queries, dimensions); None measures with some of the passages. If the served
    index is exact, it has no recall, since there is nothing else to compare it with; the curve is
    that of a graph built for the purpose in a temporary folder.
    """
    vectors, record = collection.vectors, collection.manifest.index
    if queries is None:
        random = np.random.default_rng(seed)
        rows = random.permutation(len(vectors.passages))[:MAX_QUERIES]
        queries = vectors.passages[np.sort(rows)].astype(np.float32)
    queries = queries[:MAX_QUERIES]
    truth, exact_ms = search(Exact(vectors), queries)
    passages = len(vectors.passages)
    if isinstance(collection.index, Exact):  # also where serve.exact overrides what was built
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / GRAPH
            graph.write(vectors, path, record.settings, threads)
            points = list(curve(vectors, path, queries, truth))
        return IndexQuality(kind="exact", passages=passages, exact_p50_ms=exact_ms, curve=points)
    found, served_ms = search(collection.index, queries)
    points = []
    if record.kind == "hnsw":
        points = list(curve(vectors, collection.folder / GRAPH, queries, truth))
    return IndexQuality(
        kind=record.kind,
        passages=passages,
        recall_at_10=recall(found, truth),
        p50_ms=served_ms,
        exact_p50_ms=exact_ms,
        curve=points,
    )


def curve(
    vectors: Vectors, path: Path, queries: np.ndarray, truth: list[np.ndarray]
) -> Iterator[Point]:
    """Yield recall and time for each number of candidates that a search may look at."""
    for expansion in EXPANSIONS:
        found, p50 = search(Graph(vectors, path, expansion), queries)
        yield Point(expansion_search=expansion, recall_at_10=recall(found, truth), p50_ms=p50)


def search(index: Nearest, queries: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Return the rows found for each query, and the median milliseconds of a search."""
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        rows, _ = index.search(query, K)
        seconds.append(time.perf_counter() - start)
        found.append(rows)
    return found, round(1000 * float(np.median(seconds)), 4)


def recall(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Return the share of the nearest documents that were found."""
    hits = sum(len(np.intersect1d(*pair)) for pair in zip(found, truth, strict=True))
    return hits / sum(map(len, truth))
