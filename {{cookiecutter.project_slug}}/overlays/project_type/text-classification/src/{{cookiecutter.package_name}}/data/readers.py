"""Reads a data file of any supported kind into the columns text, label, group and line."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..params import Data
from . import attack


def read(path: Path, data: Data) -> pd.DataFrame:
    """Return one row a record: text, label, group, and the line (or else row) where it starts.

    Without a group column each record is a group of its own. Raises `UserError` for a file that
    cannot be parsed and for columns that are not there.
    """
    table, lines = _parse(path)
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


def _parse(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    """Return the file as a table, and where each record starts."""
    parsers = {
        ".csv": _parse_csv,
        ".jsonl": _parse_jsonl,
        ".parquet": lambda path: _number(pd.read_parquet(path)),
        ".json": lambda path: _number(attack.read(path)),
    }
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"data.source: {path.name}: use a .csv, .jsonl or .parquet file")
    try:
        return parse(path)
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.source: {path.name} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from None
    # Parsers raise many kinds (ValueError, KeyError, ArrowInvalid): all mean a malformed file.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"data.source: {path.name} cannot be parsed: {reason:.300}") from error


def _number(table: pd.DataFrame) -> tuple[pd.DataFrame, Sequence[int]]:
    return table.reset_index(drop=True), range(1, len(table) + 1)


def _parse_csv(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    csv.field_size_limit(2**31 - 1)  # the default refuses long texts
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header = next(reader, None)
    if header is None:
        raise ValueError("it is empty")
    records, lines, start = [], [], reader.line_num + 1
    for fields in reader:
        if fields and len(fields) != len(header):
            raise ValueError(
                f"line {start}: {len(fields)} fields where {len(header)} are wanted; put commas "
                "between fields, and quotes around a text that holds a comma"
            )
        if fields:
            records.append(fields)
            lines.append(start)
        start = reader.line_num + 1
    return pd.DataFrame(records, columns=header), lines


def _parse_jsonl(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    records = {
        number: json.loads(line)
        for number, line in enumerate(_text(path).split("\n"), start=1)
        if line.strip()
    }
    for number, record in records.items():
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is not a JSON object")
    return pd.DataFrame(list(records.values())), list(records)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
