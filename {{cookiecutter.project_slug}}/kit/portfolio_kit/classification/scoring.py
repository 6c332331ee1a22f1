"""Scores texts: a label, its confidence, and whether a person should look."""

from typing import Any, Protocol

import pyarrow as pa

from ..labels import Score
from ..scoring.inputs import Columns, Row
from ..scoring.scorer import RowScorer, Scored


class Classifier(Protocol):
    """What scoring needs of a model."""

    manifest: Any  # with the labels

    def prepare(self, texts: list[str]) -> list[Any]: ...
    def answer(self, ids: list[Any]) -> list[dict[str, Any]]: ...


class TextScorer(RowScorer):
    """Labels the texts of one column."""

    def __init__(
        self, model: Classifier, columns: Columns, settings: Score, text_column: str
    ) -> None:
        self._model = model
        own = {"label": pa.string(), "confidence": pa.float64(), "needs_review": pa.bool_()}
        if settings.probabilities:
            each = [(label, pa.float64()) for label in model.manifest.labels]
            own["probabilities"] = pa.struct(each)
        super().__init__(columns, settings.keep, own, settings.text_column or text_column)

    def score(self, part: list[Row]) -> Scored:
        """Answer the rows of a part, those of similar length together."""
        rows, rejected = self.valid(part)
        texts = [row.values[self._column] for row in rows]
        answers = self._model.answer(self._model.prepare(texts)) if texts else []
        return Scored(self.table(rows, answers), rejected, texts, answers)
