"""The checks of series in a table: numbers, a regular grid, gaps."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ..errors import UserError
from .frequency import HOUR, freq_of, is_daily, parse_freq
from .series import LARGEST

DURATION = r"([+-]?\d+ days?,? )?[+-]?\d+:\d\d:\d\d(\.\d+)?|-?P[\dYMWDTHMS.]+"
EXAMPLES = 3
MAX_STEPS_PER_ROW = 10  # of a series: more would be an error in a time, and fill the memory


def describe(bad: pd.DataFrame, column: str) -> str:
    """Return "2 rows (series 'a', line 4: 'x'; series 'b', line 9: 'y') are"."""

    def show(row: dict[Any, Any]) -> str:
        line = f", line {row['line']:.0f}" if row["line"] > 0 else ""
        return f"series {row['unique_id']!r:.40}{line}: {str(row[column])!r:.40}"

    shown = "; ".join(show(row) for row in bad.head(EXAMPLES).to_dict("records"))
    more = "; ..." if len(bad) > EXAMPLES else ""
    noun, verb = ("rows", "are") if len(bad) > 1 else ("row", "is")
    return f"{len(bad):,} {noun} ({shown}{more}) {verb}"


def check_values(
    rows: pd.DataFrame, schema: pa.DataFrameSchema, fields: Mapping[str, str]
) -> pd.DataFrame:
    """Return rows with the columns of `fields` as float64.

    `fields` says what to call each column. Raises one `UserError` with a line for each column and
    each thing that is wrong with it: values that are not numeric, and what `schema` finds.
    """
    numbers = pd.DataFrame({name: _numbers(rows[name]) for name in fields})
    text = numbers.isna() & rows[list(fields)].notna()
    problems = [
        f"{fields[name]}: {describe(rows[text[name]], name)} {_not_numeric(rows[name][text[name]])}"
        for name in fields
        if text[name].any()
    ]
    large = (numbers.abs() >= LARGEST) & ~np.isinf(numbers)
    problems += [
        f"{fields[name]}: {describe(rows[large[name]], name)} not below {LARGEST:g}"
        for name in fields
        if large[name].any()
    ]
    try:
        schema.validate(numbers.mask(text, 1.0), lazy=True)
    except pa.errors.SchemaErrors as error:
        for (name, reason), cases in error.failure_cases.groupby(["column", "check"], sort=False):
            bad = rows.loc[sorted(set(cases["index"]))]
            reason = "missing" if reason == "not_nullable" else reason
            problems.append(f"{fields[name]}: {describe(bad, name)} {reason}")
    if problems:
        raise UserError("\n".join(problems))
    return rows.assign(**numbers)


def check_times(
    rows: pd.DataFrame, freq: str, timezone: str | None, is_single: bool, column: str, file: str
) -> None:
    """Raise `UserError` unless each series has each moment of its grid at most once.

    rows are sorted by unique_id and ds; `is_single` means that they are taken for one series.
    """
    field, step = f"data.time_column {column!r} of {file}", parse_freq(freq)
    missing = rows["ds"].isna()
    if missing.any():
        raise UserError(f"{field}: {describe(rows[missing], 'ds')} missing")
    zone = "; if times are local with daylight saving, set data.timezone"
    if timezone or is_daily(freq):
        zone = ""
    repeated = rows.duplicated(["unique_id", "ds"])
    if repeated.any():
        many = "; if there are several series, set data.id_column" if is_single else ""
        raise UserError(f"{field}: {describe(rows[repeated], 'ds')} repeated{many}{zone}")
    series = rows.groupby("unique_id", sort=False)["ds"]
    usual = series.diff().dropna().mode()
    if len(usual) and step not in usual.to_numpy():
        most = freq_of(usual[0].to_numpy())
        raise UserError(f"data.freq: {freq!r} is not the step of {file}, which is mostly {most}")
    phase = rows["ds"].astype("int64") % step.astype(int)
    by_series = phase.groupby(rows["unique_id"], sort=False)
    if (phase != by_series.transform("first")).any():
        off = phase != by_series.transform(lambda values: values.mode()[0])
        if is_daily(freq):
            zone = "; write plain dates, or offsets and in data.timezone the zone of the days"
        elif timezone and step > HOUR:
            zone = "; local time shifts it: set data.timezone to null, or data.freq to h"
        raise UserError(f"{field}: {describe(rows[off], 'ds')} off the grid of data.freq{zone}")
    steps = (series.last() - series.first()) // pd.Timedelta(step) + 1
    sparse = steps > MAX_STEPS_PER_ROW * series.size()
    if sparse.any():
        lines = rows[rows["unique_id"].isin(sparse.index[sparse])]
        raise UserError(
            f"{field}: {describe(lines, 'ds')} too far apart: more than nine in ten steps between "
            "them are missing"
        )


def check_gaps(rows: pd.DataFrame, gaps: str, column: str, file: str) -> None:
    """Raise `UserError` if a value is missing and `gaps` calls that an error.

    rows have every moment of the grid; `column` is the file's name for y.
    """
    gap = rows["y"].isna()
    if gap.any() and gaps == "error":
        raise UserError(
            f"data.gaps: in {file} {describe(rows[gap], 'ds')} without a value; set it to fill "
            "(with the value one season before) or mask (the same, but neither learned from nor "
            "scored)"
        )
    empty = gap.groupby(rows["unique_id"], sort=False).transform("all")
    if empty.any():
        raise UserError(
            f"data.target_column {column!r} of {file}: {describe(rows[empty], 'y')} of a series "
            "without any value; remove it"
        )


def _numbers(values: pd.Series) -> pd.Series:
    """Return values as float64; text, times, durations and lists become NaN."""
    if values.dtype.kind in "mMc" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(np.nan, index=values.index)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except TypeError:  # lists and the like
        numbers = pd.to_numeric(values.astype(str), errors="coerce")
    return numbers.astype("float64")


def _not_numeric(values: pd.Series) -> str:
    """Return what values are that are not numeric, and how to make them so."""
    texts = values.astype(str)
    is_duration = values.map(lambda one: isinstance(one, timedelta | np.timedelta64))
    if (is_duration | texts.str.fullmatch(DURATION)).all():
        return (
            "not numeric; write durations in one unit, in pandas pd.to_timedelta(values) / "
            "pd.Timedelta(minutes=1)"
        )
    if texts.str.fullmatch(r"\s*[+-]?\d+,\d+\s*").all():
        return "not numeric; write 1200.5, without commas"
    return "not numeric"
