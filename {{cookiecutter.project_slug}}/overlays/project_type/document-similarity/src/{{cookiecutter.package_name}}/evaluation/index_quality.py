"""What the index misses, and what it saves: recall against exact search, and time."""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .. import cores
from ..artifacts import MODELS
from ..params import Params
from ..retrieval.vectors import GRAPH, Exact, Graph, Nearest, Vectors, write_graph
from ..serving.predictor import Predictor

K = 10
MAX_QUERIES = 1_000
EXPANSIONS = (32, 64, 128, 256, 512)


def measure(predictor: Predictor, queries: np.ndarray | None, params: Params) -> dict[str, Any]:
    """Return the recall@10 and p50 of the served index, of exact search, and of a graph's settings.

    queries are vectors (queries, dimensions); without any, passages are taken for them. Where the
    served index is exact, the curve is that of a graph made for the purpose.
    """
    vectors = predictor.collection.vectors
    if queries is None:
        random = np.random.default_rng(params.seed)
        rows = random.permutation(len(vectors.passages))[:MAX_QUERIES]
        queries = vectors.passages[np.sort(rows)].astype(np.float32)
    queries = queries[:MAX_QUERIES]
    truth, exact_ms = search(Exact(vectors), queries)
    found, served_ms = search(predictor.collection.index, queries)
    is_exact = isinstance(predictor.collection.index, Exact)  # also where serve.exact says so
    kind = "exact" if is_exact else predictor.manifest["index"]["kind"]
    report: dict[str, Any] = {
        "kind": kind,
        "passages": len(vectors.passages),
        "recall_at_10": recall(found, truth),
        "p50_ms": served_ms,
        "exact_p50_ms": exact_ms,
        "curve": [],
    }
    if kind == "hnsw":
        report["curve"] = list(curve(vectors, MODELS / GRAPH, queries, truth))
    elif kind == "exact":
        with tempfile.TemporaryDirectory() as folder:
            path, threads = Path(folder) / GRAPH, cores.threads(params.train.threads)
            write_graph(vectors, path, params.index, threads)
            report["curve"] = list(curve(vectors, path, queries, truth))
    return report


def curve(
    vectors: Vectors, path: Path, queries: np.ndarray, truth: list[np.ndarray]
) -> Iterable[dict[str, float]]:
    """Yield recall and time for each setting of how many candidates a search looks at."""
    for expansion in EXPANSIONS:
        found, p50 = search(Graph(vectors, path, expansion), queries)
        yield {"expansion_search": expansion, "recall_at_10": recall(found, truth), "p50_ms": p50}


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
