"""What `score` answers."""

from typing import Any

import pyarrow as pa

from portfolio_kit.scoring.inputs import Columns, Row
from portfolio_kit.scoring.scorer import RowScorer, Scored, text_fault

OWN = {"label": pa.string(), "score": pa.float64()}


class TinyScorer(RowScorer):
    def __init__(self, model: Any, columns: Columns, params: Any) -> None:
        self._model = model
        column = params.score.text_column or params.data.text_column
        super().__init__(columns, params.score.keep, OWN, column)

    def fault(self, values: dict[str, Any]) -> str | None:
        return text_fault(values.get(self._column))

    def score(self, part: list[Row]) -> Scored:
        rows, rejected = self.valid(part)
        texts = [row.values[self._column] for row in rows]
        answers = self._model.answer(texts) if texts else []
        return Scored(self.table(rows, answers), rejected, texts, answers)
