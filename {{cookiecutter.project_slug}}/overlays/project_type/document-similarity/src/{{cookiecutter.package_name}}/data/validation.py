"""The checks at the boundary: what passes here can be searched, trained on and scored."""

from typing import Any

import pandas as pd

from ..errors import UserError
from ..retrieval.documents import Documents

EXAMPLES = 3


class Faults:
    """What is wrong with a file: counted by kind, with the first three places of each."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, reason: str, line: int, value: object) -> None:
        """Note that a line has a value that does not do."""
        count, examples = self._found.get(reason, (0, []))
        if count < EXAMPLES:
            examples = [*examples, f"line {line}: {value!r:.40}"]
        self._found[reason] = (count + 1, examples)

    def add_rows(self, reason: str, rows: pd.DataFrame, column: str) -> None:
        """Note each row of a table, which has a column of lines."""
        for line, value in zip(rows["line"], rows[column], strict=True):
            self.add(reason, line, value)

    def raise_any(self) -> None:
        """Raise one `UserError`, with a line for each kind, if anything was noted."""
        if self._found:
            raise UserError("\n".join(map(self._describe, self._found)))

    def _describe(self, reason: str) -> str:
        count, examples = self._found[reason]
        more = ", ..." if count > EXAMPLES else ""
        rows = f"{count:,} line{'s' * (count > 1)} ({', '.join(examples)}{more})"
        return f"{self._where}: {reason} in {rows}"


def check_references(
    judged: pd.DataFrame, queries: pd.DataFrame, documents: Documents, where: str
) -> None:
    """Raise `UserError` if judgements name queries or documents that there are not.

    judged: line, query_id, document_id, relevance.
    """
    faults = Faults(where)
    unknown = judged[~judged["query_id"].isin(queries["query_id"])]
    faults.add_rows("names a query that queries.jsonl has not", unknown, "query_id")
    known: dict[Any, bool] = {
        one: documents.row_of(one) is not None for one in judged["document_id"].unique()
    }
    unknown = judged[~judged["document_id"].map(known).astype(bool)]
    faults.add_rows("names a document that corpus.jsonl has not", unknown, "document_id")
    faults.raise_any()
