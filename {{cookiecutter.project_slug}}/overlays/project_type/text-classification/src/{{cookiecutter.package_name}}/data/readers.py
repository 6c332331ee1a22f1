"""Reads a data file of any supported kind into the columns text, label, group and line."""

from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..params import Data
from . import attack


def read(path: Path, data: Data) -> pd.DataFrame:
    """Return one row a record: text, label, group (a record of its own if there is none), line.

    Raises `UserError` for a file that cannot be parsed and for columns that are not there.
    """
    columns = {
        "data.text_column": data.text_column,
        "data.label_column": data.label_column,
        "data.group_column": data.group_column,
    }
    table = _parse(path)
    for field, column in columns.items():
        if column is not None and column not in table.columns:
            found = ", ".join(repr(name) for name in table.columns)
            raise UserError(f"{field}: {path.name} has no column {column!r}; it has {found}")
    return pd.DataFrame(
        {
            "text": table[data.text_column],
            "label": table[data.label_column],
            "group": table[data.group_column] if data.group_column else table.index.astype(str),
            "line": _lines(table, path),
        }
    )


def _parse(path: Path) -> pd.DataFrame:
    try:
        match path.suffix.lower():
            case ".csv":
                # Everything is text, and a blank line is a row: line numbers stay true.
                return pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
            case ".jsonl":
                return pd.read_json(path, lines=True, dtype=False, convert_dates=False)
            case ".parquet":
                return pd.read_parquet(path)
            case ".json":
                return attack.read(path)
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.source: {path.name} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from None
    # Parsers raise many kinds (ValueError, KeyError, ArrowInvalid): all mean a malformed file.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"data.source: {path.name} cannot be parsed: {reason}") from error
    raise UserError(f"data.source: {path.name}: use a .csv, .jsonl or .parquet file")


def _lines(table: pd.DataFrame, path: Path) -> pd.Series:
    """Return where each record starts: the line of a text file, the row of any other."""
    start = pd.Series(range(1, len(table) + 1), index=table.index)
    if path.suffix.lower() != ".csv":
        return start
    # A quoted field may span lines: what stands before a record decides where it starts.
    breaks = sum((table[name].str.count("\n") for name in table.columns), start * 0)
    return start + 1 + breaks.cumsum().shift(fill_value=0).astype(int)
