"""What a search writes into `models/manifest.json` and `reports/metrics.json`."""

from typing import Literal

from pydantic import Field

from .. import records
from ..data_section import USES, code
from ..records import Record
from .settings import Index, Mode


class Dataset(records.Dataset):
    """The manifest of `data/processed/`; its rows are queries."""

    documents: int
    near_duplicate_documents: int  # kept, since judgements name them
    judgements: dict[str, str] = Field(default_factory=dict)  # the source's files, by split

    def contents(self) -> dict[str, str]:
        """Return how many documents can be found."""
        alike = self.near_duplicate_documents
        kept = f"; {alike:,} nearly repeat another, and are kept" if alike else ""
        return {"Documents": f"{self.documents:,}{kept}"}

    def how_split(self) -> str:
        """Return which judgements came from which file, and what was held out at random."""
        if not any(self.rows.values()):
            return "there are no judged queries"
        drawn = f"at random with seed {self.seed}, each group of queries on one side"
        if not self.judgements:
            return drawn
        told = [f"{USES[name]} from {code(file)}" for name, file in self.judgements.items()]
        rest = [USES[name] for name in USES if self.rows[name] and name not in self.judgements]
        if rest:
            told.append(f"{' and '.join(rest)} out of training, {drawn}")
        return "; ".join(told)


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
