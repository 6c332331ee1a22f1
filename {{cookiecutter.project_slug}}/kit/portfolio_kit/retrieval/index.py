"""Chooses the index over the passages: exact, a graph, or a Qdrant server."""

from pathlib import Path

from . import graph, settings
from .graph import GRAPH, Graph
from .records import IndexRecord
from .vectors import Exact, Nearest, Vectors


def build(folder: Path, key: str, options: settings.Index, threads: int) -> IndexRecord:
    """Build the index over the vectors in `folder`; `key` names them on a Qdrant server."""
    vectors = Vectors(folder)
    passages = len(vectors.passages)
    if options.qdrant_url:
        from . import qdrant  # loaded only where it is used

        name = f"passages-{key}-{options.storage}"
        qdrant.write(vectors, name, options.qdrant_url, options.storage)
        return IndexRecord(kind="qdrant", passages=passages, settings=options, collection=name)
    if passages < options.exact_below:
        return IndexRecord(kind="exact", passages=passages, settings=options)
    graph.write(vectors, folder / GRAPH, options, threads)
    return IndexRecord(kind="hnsw", passages=passages, settings=options)


def open_index(folder: Path, vectors: Vectors, record: IndexRecord, exact: bool) -> Nearest:
    """Return the index that was built or, if `exact`, one that compares with every vector."""
    if exact or record.kind == "exact":
        return Exact(vectors)
    if record.kind == "qdrant":
        from .qdrant import Qdrant

        assert record.collection
        assert record.settings.qdrant_url
        return Qdrant(vectors, record.collection, record.settings.qdrant_url)
    return Graph(vectors, folder / GRAPH, record.settings.expansion_search)
