"""What a search writes into `models/manifest.json` and `reports/metrics.json`."""

from typing import Literal

from .. import records
from ..records import Record
from .settings import Index, Mode


class IndexRecord(Record):
    """The index over the passages, as it was built."""

    kind: Literal["exact", "hnsw", "qdrant"]
    passages: int
    settings: Index
    collection: str | None = None  # on the Qdrant server


class Manifest(records.Manifest):
    """The manifest of an encoder together with the documents that it searches."""

    documents: int
    max_tokens: int  # of a query, and of a passage
    overlap_tokens: int  # shared by neighbouring passages
    index: IndexRecord
    retrieval: Mode

    @property
    def embedding(self) -> str:
        """Return all that a document's vectors depend on."""
        return f"{self.version} {self.max_tokens} {self.overlap_tokens}"


class Point(Record):
    """Recall and time of the graph at one setting."""

    expansion_search: int
    recall_at_10: float
    p50_ms: float


class IndexQuality(Record):
    """What the index misses of an exact search, and the time that it saves."""

    kind: Literal["exact", "hnsw", "qdrant"]
    passages: int
    recall_at_10: float | None = None  # None: the index is exact
    p50_ms: float | None = None
    exact_p50_ms: float
    curve: list[Point]
