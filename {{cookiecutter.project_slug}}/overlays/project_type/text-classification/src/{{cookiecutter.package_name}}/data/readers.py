"""Reads a data file of any supported kind into the columns text, label, group and line."""

import csv
import itertools
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ..errors import UserError
from ..params import Data
from . import attack

PART = 50_000  # records turned into a table at a time
MAX_ROWS_A_BYTE = 10  # of a Parquet file: texts that differ take more than that
Parsed = tuple[list[str], pd.DataFrame, Sequence[int]]


def read(path: Path, data: Data, source: str) -> pd.DataFrame:
    """Return one row a record: text, label, group, and the line (or else row) where it starts.

    Without a group column each record is a group of its own. Raises `UserError`, which names the
    parameter `source`, for a file that is empty or cannot be parsed, and for missing columns.
    """
    roles = {"text": data.text_column, "label": data.label_column, "group": data.group_column}
    wanted = {role: column for role, column in roles.items() if column is not None}
    columns, table, lines = _parse(path, [*wanted.values()], source)
    if table.empty:
        raise UserError(f"{source}: {path.name} holds no rows")
    for role, column in wanted.items():
        field, found = f"data.{role}_column", ", ".join(map(repr, columns))
        if column not in columns:
            raise UserError(f"{field}: {path.name} has no column {column!r}; it has {found:.300}")
        if columns.count(column) > 1:
            raise UserError(f"{field}: {path.name} has several columns {column!r}; rename them")
    rows = pd.DataFrame({role: table[column].astype(object) for role, column in wanted.items()})
    rows["label"] = rows["label"].map(lambda v: v.strip() if isinstance(v, str) else v)
    groups = rows["group"] if data.group_column else table.index.to_series()
    rows["group"] = groups.where(groups.isna(), groups.astype(str))
    rows.attrs = table.attrs
    return rows.assign(line=lines)


def _parse(path: Path, wanted: list[str], source: str) -> Parsed:
    """Return a file's columns, a table of those that are wanted, and where each record starts."""
    parsers = {
        ".csv": _parse_csv,
        ".jsonl": _parse_jsonl,
        ".parquet": _parse_parquet,
        ".json": _parse_bundle,
    }
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"{source}: {path.name}: use a .csv, .jsonl or .parquet file")
    try:
        return parse(path, wanted)
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


def _parse_csv(path: Path, wanted: list[str]) -> Parsed:
    csv.field_size_limit(2**31 - 1)  # the default refuses long texts
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
                        f"line {start}: {len(fields)} fields where {len(header)} are wanted; put "
                        "commas between fields, and quotes around a text that holds a comma"
                    )
                if fields:
                    yield start, [fields[place] for place in places]
                start = reader.line_num + 1

        return header, *_gather(records(), kept)


def _parse_jsonl(path: Path, wanted: list[str]) -> Parsed:
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
    return list(columns), table, lines


def _parse_parquet(path: Path, wanted: list[str]) -> Parsed:
    file = pq.ParquetFile(path)
    # A value that repeats itself takes no room in the file, but it does in memory.
    if file.metadata.num_rows > MAX_ROWS_A_BYTE * path.stat().st_size:
        raise ValueError(f"{file.metadata.num_rows:,} rows in so few bytes repeat each other")
    columns = file.schema_arrow.names
    # Without the metadata of pandas, an index is a column like any other.
    kept = [name for name in wanted if columns.count(name) == 1]
    table = pq.read_table(path, columns=kept).to_pandas(ignore_metadata=True)
    return columns, table, range(1, len(table) + 1)


def _parse_bundle(path: Path, wanted: list[str]) -> Parsed:
    table = attack.read(path)
    return list(table.columns), table, range(1, len(table) + 1)


def _gather(
    records: Iterator[tuple[int, list[Any]]], columns: list[str]
) -> tuple[pd.DataFrame, Sequence[int]]:
    """Return records as a table, packed part by part: Python's own objects take far more room."""
    tables, lines = [pd.DataFrame(columns=columns, dtype=str)], array("L")
    while part := list(itertools.islice(records, PART)):
        numbers, rows = zip(*part, strict=True)
        tables.append(pd.DataFrame(rows, columns=columns, dtype=object))
        lines.extend(numbers)
    return pd.concat(tables[1:] or tables, ignore_index=True), lines
