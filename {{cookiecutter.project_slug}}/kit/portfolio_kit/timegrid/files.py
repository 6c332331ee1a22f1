"""Reads a file in long format: a row for each series and moment."""

import collections
import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from .. import headers, tables
from ..errors import UserError
from ..tables import Rows
from .checks import EXAMPLES, describe
from .series import ONLY_SERIES, name_of

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # not of ids, which are names
MAX_COLUMNS = 10_000  # all are parsed, at a fifth of a millisecond each
# Of the columns that are added here and where gaps are filled.
OWN_NAMES = {"unique_id", "ds", "y", "line", "observed"}


def read(
    path: Path,
    source: str,
    time: str,
    target: str,
    series: str | None,
    covariates: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Return unique_id, ds, y, the covariates and line (or row), in the order of the file.

    Columns are given by name, those of covariates by parameter. Times and values are as they were
    read; names of series are those of `name_of`, and it prints which ones that joins. Raises
    `UserError`, which names the parameter (or `source`), for a file that is empty or cannot be
    parsed, for missing columns and for rows without the name of their series.
    """
    wanted = {"data.time_column": time, "data.target_column": target}
    if series is not None:
        wanted["data.id_column"] = series
    for field, columns in covariates.items():
        for number, column in enumerate(columns):
            if column in OWN_NAMES:
                raise UserError(f"{field}: the project itself uses {column!r}; rename the column")
            wanted[f"{field}[{number}]"] = column
    parser = partial(_csv, names=series, texts={time, series})
    found = tables.read(path, wanted, source, {".csv": parser})
    names: pd.Series | str = ONLY_SERIES
    if series is not None:
        names = _names(found.table[series], f"data.id_column {series!r} of {path.name}")
    rows = pd.DataFrame({"unique_id": names, "ds": found.table[time], "y": found.table[target]})
    for columns in covariates.values():
        rows[list(columns)] = found.table[list(columns)]
    rows["line"] = found.lines
    unnamed = rows["unique_id"] == ""
    if unnamed.any():
        bad = describe(rows[unnamed], "unique_id")
        raise UserError(f"data.id_column {series!r} of {path.name}: {bad} empty")
    return rows


def _names(column: pd.Series, field: str) -> pd.Series:
    """Return the names of series; a missing one is empty."""
    written = column.astype(object).where(column.notna(), "").astype(str)
    known = {one: name_of(one) for one in written.unique()}
    by_name: dict[str, list[str]] = {}
    for one, name in known.items():
        by_name.setdefault(name, []).append(one)
    joined = [", ".join(map(_shown, same)) for same in by_name.values() if len(same) > 1]
    if joined:
        shown = "; ".join(joined[:EXAMPLES]) + "; ..." * (len(joined) > EXAMPLES)
        fewer = len(known) - len(by_name)
        print(
            f"note: {field}: {fewer} joined with a name that differs only by blanks or in the form "
            f"of its Unicode: {shown:.300}"
        )
    return written.map(known)


def _shown(name: str) -> str:
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def _csv(path: Path, wanted: list[str], names: str | None, texts: set[str | None]) -> Rows:
    """Parse a file with pandas, which turns numbers into numbers as it reads them."""
    columns = headers.csv_columns(path)
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"it has {len(columns):,} columns; remove those that are not needed")
    # All columns are read: with `usecols`, pandas accepts rows that have too many fields.
    try:
        table = pd.read_csv(
            path,
            encoding="utf-8-sig",
            dtype=dict.fromkeys(texts & {*columns}, str),
            keep_default_na=False,
            na_values={name: MISSING for name in columns if name != names},
            skip_blank_lines=False,  # they count as lines
            low_memory=False,
        )
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError(f"rows have more fields than the header, which has {len(columns)}")
    except ValueError:
        collections.deque(headers.csv_rows(path), maxlen=0)  # it names the line, and the fix
        raise
    table = table[[name for name in wanted if name in columns]]
    others = table.drop(columns=names or [], errors="ignore")
    blank = others.isna().all(axis=1) & (len(others.columns) > 0)
    if names in table:
        blank &= table[names].fillna("") == ""
    lines = np.flatnonzero(~blank) + 2
    return Rows(columns, table[~blank].reset_index(drop=True) if blank.any() else table, lines)
