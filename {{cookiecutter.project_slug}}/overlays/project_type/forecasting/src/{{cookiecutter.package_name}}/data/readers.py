"""Reads a CSV or Parquet file in long format into the columns unique_id, ds, y and covariates."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ..errors import UserError
from ..features import ONLY_SERIES
from ..params import Data
from ..timegrid import time_zone
from .validation import describe

OWN_NAMES = {"unique_id", "ds", "y", "line", "observed"}
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # but for ids, which are names
MAX_COLUMNS = 10_000  # all are parsed, at a fifth of a millisecond each
MAX_ROWS_A_BYTE = 10  # of a Parquet file: moments that differ take more than that
OFFSET = r":.*(?:Z|[+-]\d\d(?::?\d\d)?)$"

Refuse = Callable[[pd.Series, str], None]  # raises `UserError` for some rows, for a reason


def read(path: Path, data: Data, source: str) -> pd.DataFrame:
    """Return one row a record, in the order of the file, with the line (or else row) it stands in.

    `ds` is datetime64[s], UTC where the file or `data.timezone` says which zone it is in. Raises
    `UserError`, which names the parameter `source`, for a file that is empty or cannot be parsed,
    and for missing columns and unreadable times.
    """
    roles = {"time_column": data.time_column, "target_column": data.target_column}
    if data.id_column is not None:
        roles["id_column"] = data.id_column
    wanted = {f"data.{role}": name for role, name in roles.items()}
    for role in ("future_columns", "past_columns"):
        for number, name in enumerate(getattr(data, role)):
            if name in OWN_NAMES:
                raise UserError(f"data.{role}: the project itself uses {name!r}; rename the column")
            wanted[f"data.{role}[{number}]"] = name
    table = _parse(path, wanted, data.id_column, source)
    rows = table[[*data.future_columns, *data.past_columns]].copy()
    rows.insert(0, "y", table[data.target_column])
    rows.insert(0, "ds", table[data.time_column])
    rows.insert(0, "unique_id", ONLY_SERIES)
    if data.id_column is not None:
        names = table[data.id_column]
        rows["unique_id"] = names.astype(object).where(names.notna(), "").astype(str)
    rows["line"] = table.index + (2 if path.suffix.lower() == ".csv" else 1)
    unnamed = rows["unique_id"] == ""
    if unnamed.any():
        raise UserError(
            f"data.id_column {data.id_column!r} of {path.name}: "
            f"{describe(rows[unnamed], 'unique_id')} empty"
        )
    return rows.assign(ds=_moments(rows, data, path.name))


def _parse(path: Path, wanted: dict[str, str], id_column: str | None, source: str) -> pd.DataFrame:
    """Return the columns that are wanted; the index counts lines after the head, from 0 on."""
    parsers = {".csv": _parse_csv, ".parquet": _parse_parquet}
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise UserError(f"{source}: {path.name}: use a .csv or .parquet file")
    try:
        columns, table = parse(path, list(wanted.values()), id_column)
    # Parsers raise many kinds (ValueError, UnicodeDecodeError, ArrowInvalid): a malformed file.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {path.name} cannot be parsed: {reason:.300}") from error
    for field, column in wanted.items():
        if columns.count(column) != 1:
            found = ", ".join(map(repr, columns))
            many = f"{columns.count(column)} columns" if column in columns else "no column"
            raise UserError(f"{field}: {path.name} has {many} {column!r}; it has {found:.300}")
    if table.empty:
        raise UserError(f"{source}: {path.name} holds no rows")
    return table


def _parse_csv(
    path: Path, wanted: list[str], id_column: str | None
) -> tuple[list[str], pd.DataFrame]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        columns = next(csv.reader(file, strict=True), [])
    if not columns:
        raise ValueError("its first line is empty; it has to name the columns")
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"it has {len(columns):,} columns; leave out those that are not needed")
    # All columns are read: with `usecols`, pandas takes rows that have too many fields.
    table = pd.read_csv(
        path,
        encoding="utf-8-sig",
        dtype=dict.fromkeys({id_column, wanted[0]} & {*columns}, str),
        keep_default_na=False,
        na_values={name: MISSING for name in columns if name != id_column},
        skip_blank_lines=False,  # they count as lines
        low_memory=False,
    )
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"rows have more fields than the head, which has {len(columns)}")
    table = table[[name for name in wanted if name in columns]]
    others = [name for name in table.columns if name != id_column]
    blank = table[others].isna().all(axis=1)
    if id_column in table.columns:
        blank &= table[id_column].fillna("") == ""
    return columns, table[~blank] if blank.any() else table


def _parse_parquet(
    path: Path, wanted: list[str], id_column: str | None
) -> tuple[list[str], pd.DataFrame]:
    file = pq.ParquetFile(path)
    # A value that repeats itself takes no room in the file, but it does in memory.
    if file.metadata.num_rows > MAX_ROWS_A_BYTE * path.stat().st_size:
        raise ValueError(f"{file.metadata.num_rows:,} rows in so few bytes repeat each other")
    columns = file.schema_arrow.names
    # Without the metadata of pandas, an index is a column like any other.
    table = pq.read_table(path, columns=[name for name in wanted if name in columns])
    return columns, table.to_pandas(ignore_metadata=True)


def _moments(rows: pd.DataFrame, data: Data, file: str) -> pd.Series:
    """Return the times of rows as datetime64[s]: in UTC if a zone is known, else as they are."""
    field, times = f"data.time_column {data.time_column!r} of {file}", rows["ds"]

    def refuse(bad: pd.Series, reason: str) -> None:
        if bad.any():
            raise UserError(f"{field}: {describe(rows[bad], 'ds')} {reason}")

    if isinstance(times.dtype, pd.DatetimeTZDtype):
        moments, zoned = times.dt.tz_convert(None), True
    elif pd.api.types.is_datetime64_dtype(times):
        moments, zoned = times, False
    else:
        if pd.api.types.is_numeric_dtype(times):
            refuse(times.notna(), "no ISO 8601 time, such as 2024-05-01 13:00")
        text = times.astype(object).where(times.notna()).astype(str)
        moments = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        moments = moments.dt.tz_convert(None)
        refuse(moments.isna() & times.notna(), "no ISO 8601 time, such as 2024-05-01 13:00")
        offset = text.str.contains(OFFSET)
        zoned = bool(offset.any())
        if zoned:
            refuse(~offset & times.notna(), "without an offset, which other rows have")
    whole = moments.astype("datetime64[s]")
    refuse((whole != moments) & moments.notna(), "not at a whole second")
    if zoned or data.timezone is None:
        return whole
    return _from_local(rows.assign(ds=whole), data.timezone, refuse)


def _from_local(rows: pd.DataFrame, timezone: str, refuse: Refuse) -> pd.Series:
    """Return local times as UTC. Of two that are alike when clocks go back, the first in the file
    is the earlier one; so it has to be in order there.
    """
    zone, local = time_zone(timezone), rows["ds"]

    def utc(is_summer: pd.Series) -> pd.Series:
        aware = local.dt.tz_localize(zone, ambiguous=is_summer.to_numpy(), nonexistent="NaT")
        return aware.dt.tz_convert(None)

    first = ~rows.duplicated(["unique_id", "ds"])
    moments = utc(first)
    refuse(moments.isna() & local.notna(), f"skipped by the clocks of {timezone} (data.timezone)")
    unclear = (moments != utc(~first)) & local.notna()
    if unclear.any():
        hint = f"when clocks of {timezone} (data.timezone) go back; give times an offset"
        refuse(unclear & ~rows.duplicated(["unique_id", "ds"], keep=False), f"there once, {hint}")
        backwards = moments.groupby(rows["unique_id"], sort=False).diff() < pd.Timedelta(0)
        backwards &= rows["unique_id"].isin(rows["unique_id"][unclear].unique())
        refuse(backwards, f"out of order, so it is not clear which is first {hint}, or sort them")
    return moments
