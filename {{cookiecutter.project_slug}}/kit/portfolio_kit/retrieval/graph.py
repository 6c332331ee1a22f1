"""An index in this process: a graph of neighbours, HNSW (Malkov and Yashunin 2018)."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 - loaded after usearch, it crashes the process
from usearch.index import Index

from . import settings
from .vectors import Approximate, Vectors

GRAPH = "graph.usearch"
METRICS = {"f16": "ip", "i8": "cos"}  # i8 has to scale vectors first, which only "cos" does


class Graph(Approximate):
    """usearch's graph, memory-mapped."""

    def __init__(self, vectors: Vectors, path: Path, expansion_search: int) -> None:
        super().__init__(vectors)
        index: Any = Index.restore(path, view=True)
        index.expansion_search = expansion_search
        self._index = index
        self._lock = threading.Lock()  # calls from several threads would share one scratch pad

    def candidates(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the passages that a walk through the graph finds."""
        with self._lock:
            return np.asarray(self._index.search(vector, count).keys).astype(np.int64)


def write(vectors: Vectors, path: Path, options: settings.Index, threads: int) -> None:
    """Build the graph over all passages and write it."""
    index = Index(
        ndim=vectors.passages.shape[1],
        metric=METRICS[options.storage],
        dtype=options.storage,
        connectivity=options.connectivity,
        expansion_add=options.expansion_add,
    )
    passages = vectors.passages
    index.add(np.arange(len(passages)), passages, threads=threads, log="index")
    index.save(path)
