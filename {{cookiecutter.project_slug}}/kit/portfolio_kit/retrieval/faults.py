"""Collects what is wrong with a file, so one error can name all of it."""

import pandas as pd

from ..errors import UserError

EXAMPLES = 3


class Faults:
    """What is wrong with a file: counted by kind, with the first three places of each."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, reason: str, line: int, value: object) -> None:
        """Note that a value on a line is invalid."""
        count, examples = self._found.get(reason, (0, []))
        if count < EXAMPLES:
            examples = [*examples, f"line {line}: {value!r:.40}"]
        self._found[reason] = (count + 1, examples)

    def add_rows(self, reason: str, rows: pd.DataFrame, column: str) -> None:
        """Note each row of a table that has a column `line`."""
        for line, value in zip(rows["line"], rows[column], strict=True):
            self.add(reason, line, value)

    def raise_any(self) -> None:
        """Raise one `UserError` with a line per kind, if anything was noted."""
        if self._found:
            raise UserError("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return a line per kind."""
        return [self._describe(reason) for reason in self._found]

    def _describe(self, reason: str) -> str:
        count, examples = self._found[reason]
        more = ", ..." if count > EXAMPLES else ""
        rows = f"{count:,} line{'s' * (count > 1)} ({', '.join(examples)}{more})"
        return f"{self._where}: {reason} in {rows}"
