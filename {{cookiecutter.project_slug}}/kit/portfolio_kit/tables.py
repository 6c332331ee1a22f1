"""Reads rows from CSV, JSON Lines or Parquet, and knows the line of each."""

import csv
import itertools
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .errors import UserError

PART = 50_000  # records converted to a table at a time
MAX_ROWS_PER_BYTE = 10  # of a Parquet file; more means one value repeated
EXAMPLES = 3


class Rows(NamedTuple):
    """A file's columns, a table of the wanted ones, and the line (or row) where each row starts."""

    columns: list[str]
    table: pd.DataFrame
    lines: Sequence[int] | np.ndarray


Parser = Callable[[Path, list[str]], Rows]


def read(
    path: Path, wanted: Mapping[str, str], source: str, parsers: Mapping[str, Parser] | None = None
) -> Rows:
    """Return the rows of a file with the columns of `wanted`, given by parameter.

    `parsers` adds to or replaces the formats, by suffix. Raises `UserError`, which names the
    parameter (or `source`), for a file that is empty or cannot be parsed and for missing columns.
    """
    known = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet, **(parsers or {})}
    parse = known.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"{source}: {path.name}: use a .csv, .jsonl or .parquet file")
    try:
        rows = parse(path, [*wanted.values()])
    except UnicodeDecodeError:
        place = _first_bad_byte(path)
        raise UserError(
            f"{source}: {path.name} is not UTF-8 at byte {place}; save it as UTF-8"
        ) from None
    except Exception as error:  # each parser has its own exceptions for a malformed file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {path.name} cannot be parsed: {reason:.300}") from error
    if not len(rows.lines):
        raise UserError(f"{source}: {path.name} holds no rows")
    for field, column in wanted.items():
        if (count := rows.columns.count(column)) != 1:
            found = ", ".join(map(repr, rows.columns))
            many = f"{count} columns" if count else "no column"
            raise UserError(f"{field}: {path.name} has {many} {column!r}; it has {found:.300}")
    return rows


def describe(bad: pd.DataFrame, column: str) -> str:
    """Return "2 rows (line 4: 'x', line 9: '') are", given rows with a column `line`."""
    first = bad.head(EXAMPLES)
    shown = ", ".join(
        f"line {line}: {value!r:.40}"
        for line, value in zip(first["line"], first[column], strict=True)
    )
    more = ", ..." if len(bad) > EXAMPLES else ""
    return f"{len(bad)} row{'s' * (len(bad) > 1)} ({shown}{more}) {'are' if len(bad) > 1 else 'is'}"


def _first_bad_byte(path: Path) -> int | None:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _csv(path: Path, wanted: list[str]) -> Rows:
    csv.field_size_limit(2**31 - 1)  # the default rejects long texts
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, None)
        if header is None:
            raise ValueError("it is empty")
        kept = [name for name in wanted if name in header]
        places = [header.index(name) for name in kept]

        def records() -> Iterator[tuple[int, list[str]]]:
            start = reader.line_num + 1
            for fields in reader:
                if fields and len(fields) != len(header):
                    raise ValueError(
                        f"line {start}: {len(fields)} fields instead of {len(header)}; put commas "
                        "between fields, and quotes around a text that contains a comma"
                    )
                if fields:
                    yield start, [fields[place] for place in places]
                start = reader.line_num + 1

        return Rows(header, *_gather(records(), kept))


def _jsonl(path: Path, wanted: list[str]) -> Rows:
    columns: dict[str, None] = {}  # in the order of their first record

    def records() -> Iterator[tuple[int, list[Any]]]:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    record = json.loads(line)
                except RecursionError:
                    raise ValueError(f"line {number} is nested too deeply") from None
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from error
                if not isinstance(record, dict):
                    raise ValueError(f"line {number} is not a JSON object")
                columns.update(dict.fromkeys(record))
                yield number, [record.get(name) for name in wanted]

    with path.open(encoding="utf-8-sig", newline="\n") as file:
        table, lines = _gather(records(), wanted)
    return Rows(list(columns), table, lines)


def _parquet(path: Path, wanted: list[str]) -> Rows:
    file = pq.ParquetFile(path)
    # A repeated value takes no room in the file, but it does in memory.
    if file.metadata.num_rows > MAX_ROWS_PER_BYTE * path.stat().st_size:
        raise ValueError(f"{file.metadata.num_rows:,} rows in so few bytes repeat each other")
    columns = file.schema_arrow.names
    kept = [name for name in wanted if columns.count(name) == 1]
    # Without pandas' metadata, an index is a column like any other.
    table = pq.read_table(path, columns=kept).to_pandas(ignore_metadata=True)
    return Rows(columns, table, range(1, len(table) + 1))


def _gather(
    records: Iterator[tuple[int, list[Any]]], columns: list[str]
) -> tuple[pd.DataFrame, Sequence[int]]:
    """Return records as a table, converted in parts: Python objects take far more memory."""
    tables, lines = [pd.DataFrame(columns=columns, dtype=str)], array("L")
    while part := list(itertools.islice(records, PART)):
        numbers, rows = zip(*part, strict=True)
        tables.append(pd.DataFrame(rows, columns=columns, dtype=object))
        lines.extend(numbers)
    return pd.concat(tables[1:] or tables, ignore_index=True), lines
