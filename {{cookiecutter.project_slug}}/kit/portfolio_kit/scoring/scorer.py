"""What scoring asks of a project type: which rows it can answer, and how answers become columns."""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ..errors import UserError
from . import inputs
from .inputs import FIELD, Columns, Input, Rejected, Row

INPUT = "input_"  # before a column of the input that the scores have, too
PLACE = {"file": pa.string(), "line": pa.int64()}


class Scored(NamedTuple):
    """What became of one part of the input, in its order."""

    table: pa.Table
    rejected: list[Rejected]
    asked: list[Any]  # what `Signals` takes, with its answer
    answers: list[Any]


class Scorer(ABC):
    """Answers parts of the input; any number of threads may call it."""

    def parts(self, files: list[Input], size: int) -> Iterator[tuple[int, Any]]:
        """Yield parts of some `size` rows, each with the number of its rows."""
        every = itertools.chain.from_iterable(map(inputs.rows, files))
        while part := list(itertools.islice(every, size)):
            yield len(part), part

    @abstractmethod
    def score(self, part: Any) -> Scored:
        """Answer the rows of a part."""


class RowScorer(Scorer):
    """Answers each row alone, by the text in one of its columns."""

    def __init__(
        self, columns: Columns, keep: Sequence[str] | None, own: Columns, column: str
    ) -> None:
        """Take the input's columns, those to carry through, those added, and that of the texts."""
        check(columns, (column, *(keep or ())))
        kept = [name for name in columns if name != column] if keep is None else keep
        self._own, self._kept = own, {name: columns[name] for name in kept}
        self._column = column

    def valid(self, part: list[Row]) -> tuple[list[Row], list[Rejected]]:
        """Separate the rows of a part from those that cannot be answered, both in order."""
        faults = [row.fault or self.fault(row.values) for row in part]
        pairs = list(zip(part, faults, strict=True))
        rejected = [Rejected(row.file, row.line, why) for row, why in pairs if why]
        return [row for row, why in pairs if not why], rejected

    def fault(self, values: dict[str, Any]) -> str | None:
        """Return why a row cannot be answered, or None."""
        why = text_fault(values.get(self._column))
        return why and f"{self._column!r} is {why}"

    def table(self, rows: list[Row], answers: Sequence[dict[str, Any]]) -> pa.Table:
        """Return a table of where rows are, what they carry, and their answers, one for each."""
        found = {
            "file": pa.array([row.file for row in rows], PLACE["file"]),
            "line": pa.array([row.line for row in rows], PLACE["line"]),
        }
        for name, kind in self._kept.items():
            values = [_as(row.values.get(name), kind) for row in rows]
            clashes = name in self._own or name in PLACE
            found[INPUT * clashes + name] = pa.array(values, kind)
        for name, kind in self._own.items():
            found[name] = pa.array([answer[name] for answer in answers], kind)
        return pa.table(found)


def check(columns: Columns, needed: Sequence[str]) -> None:
    """Raise `UserError` if a file lacks a column."""
    for name in needed:
        if name not in columns:
            known = ", ".join(map(repr, columns))
            raise UserError(f"{FIELD}: there is no column {name!r}; there are {known:.300}")


def text_fault(text: Any) -> str | None:
    """Return what is wrong with a text, or None; the API rejects the same."""
    if text is None:
        return "missing"
    if not isinstance(text, str):
        return "not text"
    if not text.strip():
        return "blank"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "not valid Unicode"
    return None


def _as(value: Any, kind: pa.DataType) -> Any:
    """Return a value as its column has it: of JSON Lines, anything but text is written as JSON."""
    if value is None or isinstance(value, str) or kind != pa.string():
        return value
    return json.dumps(value, ensure_ascii=False)
