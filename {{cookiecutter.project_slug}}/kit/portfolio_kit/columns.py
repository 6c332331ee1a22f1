"""Looks at a table that nobody has described yet: all its columns, and what they could be."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from . import headers, markdown, tables
from .errors import UserError

ROWS = 3  # that are shown
WIDTH = 28  # characters of a value that is shown
MISSING = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"}
INDEX = re.compile(r"\s*|Unnamed: \d+|__index_level_\d+__")
NO_NAME = "\0"  # no column is called this


def read(path: Path) -> pd.DataFrame:
    """Return all columns of a CSV, JSON Lines or Parquet file; those of a CSV file are text.

    Raises `UserError` for a file that cannot be read, or that names two columns alike.
    """
    field = "data.source"
    names = tables.columns(path, field)
    if reason := headers.advice(path, [NO_NAME], NO_NAME):
        raise UserError(f"{field}: {path.name} cannot be read as it is{reason}")
    wanted = {f"{field}, column {place}": name for place, name in enumerate(names, start=1)}
    table = tables.read(path, wanted, field).table
    return table.apply(lambda one: one.astype(object) if one.dtype == "category" else one)


def shown(table: pd.DataFrame, file: str) -> Iterator[str]:
    """Yield lines that show a table: a line per column, with its type and its first values."""
    yield f"{file}: {len(table):,} rows, {len(table.columns)} columns; the first rows, downwards:"
    cells = [
        [_cut(name), _type_of(table[name]), *map(_cut, table[name].head(ROWS))] for name in table
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        row = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield f"  {'  '.join(row)}".rstrip()


def only(
    table: pd.DataFrame,
    key: str,
    what: str,
    fits: Callable[[pd.Series], bool],
    without: set[str | None],
    file: str,
) -> str:
    """Return the only column that fits; raises `UserError`, which names the option, if not one."""
    possible = (name for name in table if name not in without and not is_index(name))
    found = [name for name in possible if fits(table[name])]
    if len(found) == 1:
        return str(found[0])
    flag = "--" + key.rpartition(".")[2].replace("_", "-")
    several = f"{len(found)} columns that could be {what}, {_listed(found)}"
    problem = several if found else f"no column that is clearly {what}"
    raise UserError(f"{key}: {file} has {problem}; name one with {flag}: {_listed(list(table))}")


def is_index(name: str) -> bool:
    """Tell whether a column has the name that pandas gives to a table's row numbers."""
    return bool(INDEX.fullmatch(name))


def numbers(values: pd.Series) -> pd.Series:
    """Return values as numbers; what is none, or missing, becomes NaN."""
    if pd.api.types.is_bool_dtype(values) or values.dtype.kind in "mMc":
        return pd.Series(float("nan"), values.index)
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float)
    is_text = values.map(lambda one: isinstance(one, str))
    is_number = values.map(lambda one: isinstance(one, int | float) and not isinstance(one, bool))
    return pd.to_numeric(values.where(is_text | is_number), errors="coerce").astype(float)


def present(values: pd.Series) -> pd.Series:
    """Return the values that are not missing."""
    is_blank = values.map(lambda one: isinstance(one, str) and one.strip() in MISSING)
    return values[values.notna() & ~is_blank.astype(bool)]


def _type_of(values: pd.Series) -> str:
    known = present(values)
    missing = len(values) - len(known)
    more = f", {missing:,} missing" if missing else ""
    if not len(known):
        return "empty"
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return f"time{more}"
    found = numbers(known)
    if found.notna().all():
        kind = "whole number" if (found % 1 == 0).all() else "number"
    elif known.map(lambda one: isinstance(one, str)).all():
        kind = "text"
    else:
        kind = " or ".join(sorted({type(one).__name__ for one in known}))
    return f"{kind}{more}"


def _cut(value: object) -> str:
    return markdown.plain(str(value), WIDTH)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(f"{str(name)!r:.40}" for name in names[:20]) + more
