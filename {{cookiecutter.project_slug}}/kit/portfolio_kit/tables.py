"""Reads rows from CSV, JSON Lines or Parquet, and knows the line of each."""

import itertools
import json
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from . import artifacts, headers, sources
from .errors import UserError

PART = 50_000  # records converted to a table at a time
MAX_ROWS_PER_BYTE = 10  # of a Parquet file; more means one value repeated
EXAMPLES = 3
HEADERS = {".csv": headers.csv_columns, ".parquet": headers.parquet_columns}


class Rows(NamedTuple):
    """A file's columns, a table of the wanted ones, and the line (or row) where each row starts."""

    columns: list[str]
    table: pd.DataFrame
    lines: Sequence[int] | np.ndarray


Parser = Callable[[Path, list[str]], Rows]


def fetch(source: str, pin: str | None, field: str) -> tuple[Path, str]:
    """Return the local path of a data file, or of a folder of Parquet parts, and its SHA-256.

    Prints the hash if there is no pin. Raises `UserError`, as `sources.fetch` does.
    """
    path, sha256 = located(source, pin, field)
    if pin is None:
        again = " (delete it to fetch it again)" if "://" in source else ""
        print(f"{field} is not pinned; {path} has sha256 {sha256}{again}")
    return path, sha256


def located(source: str, pin: str | None, field: str) -> tuple[Path, str]:
    """Do what `fetch` does, and print nothing of the hash."""
    path = Path(os.path.expanduser(source))
    if "://" not in source and os.path.isdir(path):  # false for strings that cannot be a path
        try:
            headers.parquet_parts(path)
        except ValueError as error:  # before all that is in some folder is read for its hash
            raise UserError(f"{field}: {source} is a folder; {error}") from None
        sources.check(path, pin, f"{field}: {source}")
    else:
        path = sources.fetch(source, pin, artifacts.RAW, field)
    return path, artifacts.sha256(path)


def read(
    path: Path, wanted: Mapping[str, str], source: str, parsers: Mapping[str, Parser] | None = None
) -> Rows:
    """Return the rows of a file with the columns of `wanted`, given by parameter.

    `parsers` adds to or replaces the formats, by suffix. Raises `UserError`, which names the
    parameter (or `source`), for a file that is empty or cannot be parsed and for missing columns.
    """
    parse = _of_suffix({**PARSERS, **(parsers or {})}, path, source)
    with _explained(path, source):
        if header := HEADERS.get(_suffix(path)):  # it may explain whatever is wrong with the rows
            _check(header(path), wanted, path)
        rows = parse(path, [*wanted.values()])
    if not len(rows.lines):
        raise UserError(f"{source}: {path.name} holds no rows")
    _check(rows.columns, wanted, path)
    return rows


def columns(path: Path, source: str) -> list[str]:
    """Return the columns of a file; raises `UserError`, naming `source`, if it is not readable."""
    parse = _of_suffix(PARSERS, path, source)
    header = HEADERS.get(_suffix(path), lambda path: parse(path, []).columns)
    with _explained(path, source):
        return header(path)


def _suffix(path: Path) -> str:
    return ".parquet" if path.is_dir() else path.suffix.lower()


def _of_suffix(parsers: Mapping[str, Parser], path: Path, source: str) -> Parser:
    if parser := parsers.get(_suffix(path)):
        return parser
    raise UserError(f"{source}: {path.name}: use a .csv, .jsonl or .parquet file")


@contextmanager
def _explained(path: Path, source: str) -> Iterator[None]:
    """Turn what is raised while a file is parsed into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except UnicodeDecodeError:
        place = _first_bad_byte(path)
        raise UserError(
            f"{source}: {path.name} is not UTF-8 at byte {place}; save it as UTF-8"
        ) from None
    except Exception as error:  # each parser has its own exceptions for a malformed file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {path.name} cannot be parsed: {reason:.300}") from error


def _check(columns: list[str], wanted: Mapping[str, str], path: Path) -> None:
    """Raise `UserError` unless a file has each wanted column once."""
    for field, column in wanted.items():
        if (count := columns.count(column)) != 1:
            found = ", ".join(map(repr, columns))
            many = f"{count} columns" if count else "no column"
            advice = "" if count else headers.advice(path, [*wanted.values()], column)
            raise UserError(
                f"{field}: {path.name} has {many} {column!r}; it has {found:.300}{advice}"
            )


def describe(bad: pd.DataFrame, column: str) -> str:
    """Return "2 rows (line 4: 'x', line 9: '') are", given rows with a column `line`."""
    first = bad.head(EXAMPLES)
    shown = ", ".join(
        f"line {line}: {value!r:.40}"
        for line, value in zip(first["line"], first[column], strict=True)
    )
    more = ", ..." if len(bad) > EXAMPLES else ""
    return f"{len(bad)} row{'s' * (len(bad) > 1)} ({shown}{more}) {'are' if len(bad) > 1 else 'is'}"


def text_faults(values: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """Yield what can be wrong with a text, and which values have that fault: bool (rows,)."""
    text, is_missing = values.map(str), values.isna()
    yield "missing", is_missing
    yield "not text", ~is_missing & ~values.map(lambda value: isinstance(value, str))
    yield "empty", text.str.strip() == ""
    yield "not valid Unicode", text.str.contains(r"[\ud800-\udfff]")  # half a surrogate pair


def _first_bad_byte(path: Path) -> int | None:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _csv(path: Path, wanted: list[str]) -> Rows:
    header = headers.csv_columns(path)
    places = [header.index(name) for name in wanted]
    selected = (
        (line, [fields[place] for place in places]) for line, fields in headers.csv_rows(path)
    )
    return Rows(header, *_gather(selected, wanted))


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
    parts = headers.parquet_parts(path)
    for part in parts:
        rows = pq.read_metadata(part).num_rows
        # A repeated value takes no room in the file, but it does in memory.
        if rows > MAX_ROWS_PER_BYTE * part.stat().st_size:
            raise ValueError(f"{rows:,} rows in so few bytes repeat each other")
    columns, folders = headers.parquet_schemas(path)
    kept = [columns.field(name) for name in wanted if name in columns.names]
    table = ds.dataset(
        [part.as_posix() for part in parts],
        schema=pa.schema([*kept, *folders]),
        format="parquet",
        partitioning=ds.partitioning(folders, flavor="hive"),
        partition_base_dir=path.as_posix(),
    ).to_table(columns=wanted)
    # Without pandas' metadata, an index is a column like any other.
    rows = table.to_pandas(ignore_metadata=True)
    return Rows([*columns.names, *folders.names], rows, range(1, len(rows) + 1))


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


PARSERS: dict[str, Parser] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
