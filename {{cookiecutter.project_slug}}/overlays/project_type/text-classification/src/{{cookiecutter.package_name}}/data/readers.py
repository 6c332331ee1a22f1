"""Reads a data file of any supported kind into the columns text, label, group and line."""

import csv
import itertools
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from ..params import Data
from . import attack

PART = 50_000  # records turned into a table at a time


def read(path: Path, data: Data, source: str) -> pd.DataFrame:
    """Return one row a record: text, label, group, and the line (or else row) where it starts.

    Without a group column each record is a group of its own. Raises `UserError`, which names the
    parameter `source`, for a file that is empty or cannot be parsed, and for missing columns.
    """
    table, lines = _parse(path, source)
    if table.empty:
        raise UserError(f"{source}: {path.name} holds no rows")
    for name in ("text_column", "label_column", "group_column"):
        field, column = f"data.{name}", getattr(data, name)
        if column is not None and column not in table.columns:
            found = ", ".join(repr(name) for name in table.columns)
            raise UserError(f"{field}: {path.name} has no column {column!r}; it has {found:.300}")
        if column is not None and list(table.columns).count(column) > 1:
            raise UserError(f"{field}: {path.name} has several columns {column!r}; rename them")
    rows = pd.DataFrame({"text": table[data.text_column], "label": table[data.label_column]})
    rows["label"] = rows["label"].map(lambda v: v.strip() if isinstance(v, str) else v)
    groups = table[data.group_column] if data.group_column else table.index.to_series()
    rows["group"] = groups.where(groups.isna(), groups.astype(str))
    rows.attrs = table.attrs
    return rows.assign(line=lines)


def _parse(path: Path, source: str) -> tuple[pd.DataFrame, Sequence[int]]:
    """Return the file as a table, and where each record starts."""
    parsers = {
        ".csv": _parse_csv,
        ".jsonl": _parse_jsonl,
        ".parquet": lambda path: _number(pd.read_parquet(path)),
        ".json": lambda path: _number(attack.read(path)),
    }
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"{source}: {path.name}: use a .csv, .jsonl or .parquet file")
    try:
        return parse(path)
    except UnicodeDecodeError:
        place = _first_bad_byte(path)
        raise UserError(
            f"{source}: {path.name} is not UTF-8 at byte {place}; save it as UTF-8"
        ) from None
    # Parsers raise many kinds (ValueError, KeyError, ArrowInvalid): all mean a malformed file.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {path.name} cannot be parsed: {reason:.300}") from error


def _first_bad_byte(path: Path) -> int | None:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _number(table: pd.DataFrame) -> tuple[pd.DataFrame, Sequence[int]]:
    return table.reset_index(drop=True), range(1, len(table) + 1)


def _parse_csv(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses long texts
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, None)
        if header is None:
            raise ValueError("it is empty")

        def records() -> Iterator[tuple[int, list[str]]]:
            start = reader.line_num + 1
            for fields in reader:
                if fields and len(fields) != len(header):
                    raise ValueError(
                        f"line {start}: {len(fields)} fields where {len(header)} are wanted; put "
                        "commas between fields, and quotes around a text that holds a comma"
                    )
                if fields:
                    yield start, fields
                start = reader.line_num + 1

        return _gather(records(), header)


def _parse_jsonl(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number}: {error.msg}") from error
                if not isinstance(record, dict):
                    raise ValueError(f"line {number} is not a JSON object")
                yield number, record

    with path.open(encoding="utf-8-sig", newline="\n") as file:
        return _gather(records(), None)


def _gather(
    records: Iterator[tuple[int, Any]], columns: list[str] | None
) -> tuple[pd.DataFrame, Sequence[int]]:
    """Return records as a table, packed part by part: Python's own objects take far more room."""
    tables, lines = [pd.DataFrame(columns=columns, dtype=str)], array("L")
    while part := list(itertools.islice(records, PART)):
        numbers, rows = zip(*part, strict=True)
        tables.append(pd.DataFrame(rows, columns=columns))
        lines.extend(numbers)
    return pd.concat(tables[1:] or tables, ignore_index=True), lines
