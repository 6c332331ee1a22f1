"""Scores queries: the documents found for each, best first. Or documents: their vectors."""

from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ..scoring.inputs import Columns, Row
from ..scoring.scorer import RowScorer, Scored, text_fault
from .documents import Document
from .settings import Score

TEXT = "text"  # the column of texts, as in the training data
RESULTS = {"rank": pa.int32(), "document_id": pa.string(), "score": pa.float64()}


class Searcher(Protocol):
    """What scoring needs of a model."""

    dimensions: int

    def find(self, texts: list[str], k: int) -> list[list[dict[str, Any]]]: ...
    def embed_documents(self, documents: list[Document]) -> list[np.ndarray]: ...


class QueryScorer(RowScorer):
    """Searches for the texts of one column: a row of output per document found."""

    def __init__(self, model: Searcher, columns: Columns, settings: Score) -> None:
        self._model, self._k = model, settings.k
        super().__init__(columns, settings.keep, RESULTS, settings.text_column or TEXT)

    def score(self, part: list[Row]) -> Scored:
        """Answer the queries of a part."""
        rows, rejected = self.valid(part)
        texts = [row.values[self._column] for row in rows]
        found = self._model.find(texts, self._k) if texts else []
        pairs = [
            (row, {"rank": rank, "document_id": one["id"], "score": one["score"]})
            for row, results in zip(rows, found, strict=True)
            for rank, one in enumerate(results[: self._k], start=1)
        ]
        table = self.table([row for row, _ in pairs], [one for _, one in pairs])
        return Scored(table, rejected, texts, found)


class DocumentScorer(RowScorer):
    """Embeds documents: a row of output per passage."""

    def __init__(self, model: Searcher, columns: Columns, settings: Score) -> None:
        self._model = model
        own = {"passage": pa.int32(), "vector": pa.list_(pa.float32(), model.dimensions)}
        super().__init__(columns, settings.keep, own, settings.text_column or TEXT)

    def fault(self, values: dict[str, Any]) -> str | None:
        """Return why a document has no vector, or None."""
        why = text_fault(values.get(self._column))
        has_title = text_fault(values.get("title")) is None
        return None if why in ("blank", "missing") and has_title else super().fault(values)

    def score(self, part: list[Row]) -> Scored:
        """Embed the documents of a part."""
        rows, rejected = self.valid(part)
        documents = [
            Document(
                str(row.line), row.values.get("title") or "", row.values.get(self._column) or ""
            )
            for row in rows
        ]
        vectors = self._model.embed_documents(documents) if documents else []
        pairs = [
            (row, {"passage": number, "vector": vector})
            for row, passages in zip(rows, vectors, strict=True)
            for number, vector in enumerate(passages)
        ]
        table = self.table([row for row, _ in pairs], [one for _, one in pairs])
        return Scored(table, rejected, [], [])
