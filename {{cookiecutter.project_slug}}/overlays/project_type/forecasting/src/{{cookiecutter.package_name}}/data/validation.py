"""The checks at the boundary: what passes here is series on a regular grid of time."""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ..errors import UserError
from ..params import Data
from ..timegrid import DAY, HOUR, freq_of, parse_freq, public_holidays, time_zone

EXAMPLES = 3
MAX_STEPS_A_ROW = 10  # of a series: more would be an error in a time, and fill the memory
FINITE = pa.Check(lambda values: ~np.isinf(values), error="infinite")
POSITIVE = pa.Check(lambda values: ~(values <= 0), error="not above zero (data.positive)")


def check_calendar(data: Data) -> None:
    """Raise `UserError` for an unknown frequency, time zone or place of holidays."""
    step = parse_freq(data.freq)
    if data.holidays is not None:
        public_holidays(data.holidays)
    if data.timezone is not None:
        time_zone(data.timezone)
        if step % DAY == 0:
            raise UserError(
                f"data.timezone: local days have 23 to 25 hours, steps of {data.freq!r} do not "
                "change; set it to null, which takes days as they are"
            )


def check_values(rows: pd.DataFrame, data: Data, file: str) -> pd.DataFrame:
    """Return rows with numbers as float64.

    Raises one `UserError` with a line for each column and what is wrong with it: text, infinities.
    A missing target is a gap, which `data.gaps` is about; a missing covariate is not allowed.
    """
    covariates = [*data.future_columns, *data.past_columns]
    of_target = [FINITE, *([POSITIVE] if data.positive else [])]
    columns = {"y": pa.Column(checks=of_target, nullable=True)}
    columns |= {name: pa.Column(checks=[FINITE], nullable=False) for name in covariates}
    numbers = pd.DataFrame({name: _numbers(rows[name]) for name in columns})
    text = numbers.isna() & rows[list(columns)].notna()
    problems = [
        f"{_column(name, data)} of {file}: {describe(rows[text[name]], name)} no number"
        for name in columns
        if text[name].any()
    ]
    try:
        pa.DataFrameSchema(columns).validate(numbers.mask(text, 1.0), lazy=True)
    except pa.errors.SchemaErrors as error:
        for (name, reason), cases in error.failure_cases.groupby(["column", "check"], sort=False):
            bad = rows.loc[sorted(set(cases["index"]))]
            reason = "missing" if reason == "not_nullable" else reason
            problems.append(f"{_column(name, data)} of {file}: {describe(bad, name)} {reason}")
    if problems:
        raise UserError("\n".join(problems))
    return rows.assign(**numbers)


def check_times(rows: pd.DataFrame, data: Data, file: str) -> None:
    """Raise `UserError` unless each series has each moment of its grid at most once.

    rows are sorted by unique_id and ds. Says which series, how many rows, and shows three.
    """
    field, step = f"data.time_column {data.time_column!r} of {file}", parse_freq(data.freq)
    missing = rows["ds"].isna()
    if missing.any():
        raise UserError(f"{field}: {describe(rows[missing], 'ds')} missing")
    zone = "" if data.timezone else "; if times are local with daylight saving, set data.timezone"
    twice = rows.duplicated(["unique_id", "ds"])
    if twice.any():
        many = "" if data.id_column else "; if there are several series, set data.id_column"
        raise UserError(f"{field}: {describe(rows[twice], 'ds')} there twice{many}{zone}")
    series = rows.groupby("unique_id", sort=False)["ds"]
    usual = series.diff().dropna().mode()
    if len(usual) and step not in usual.to_numpy():
        most = freq_of(usual[0].to_numpy())
        raise UserError(f"data.freq: {data.freq!r} does not fit {file}: most steps are {most}")
    phase = rows["ds"].astype("int64") % step.astype(int)
    by_series = phase.groupby(rows["unique_id"], sort=False)
    if (phase != by_series.transform("first")).any():
        off = phase != by_series.transform(lambda values: values.mode()[0])
        if data.timezone and step > HOUR:
            zone = "; local time shifts it: set data.timezone to null, or data.freq to h"
        raise UserError(f"{field}: {describe(rows[off], 'ds')} off the grid of data.freq{zone}")
    rows_by_series = series.size()
    steps = (series.last() - series.first()) // pd.Timedelta(step) + 1
    sparse = steps > MAX_STEPS_A_ROW * rows_by_series
    if sparse.any():
        lines = rows[rows["unique_id"].isin(sparse.index[sparse])]
        raise UserError(
            f"{field}: {describe(lines, 'ds')} too far apart: more than nine in ten steps between "
            "them are missing"
        )


def check_gaps(rows: pd.DataFrame, data: Data, file: str) -> None:
    """Raise `UserError` if a value is missing, where `data.gaps` says that this is an error.

    rows have every moment of the grid; a y is missing, or the row was made to fill a hole.
    """
    gap = rows["y"].isna()
    if gap.any() and data.gaps == "error":
        raise UserError(
            f"data.gaps: in {file} {describe(rows[gap], 'ds')} without a value; set it to fill "
            "(with the value one season before) or mask (that, but neither learnt nor scored)"
        )
    empty = gap.groupby(rows["unique_id"], sort=False).transform("all")
    if empty.any():
        raise UserError(
            f"{_column('y', data)} of {file}: {describe(rows[empty], 'y')} of a series without any "
            "value; leave it out"
        )


def describe(bad: pd.DataFrame, column: str) -> str:
    """Return "2 rows (series 'a', line 4: 'x'; series 'b', line 9: 'y') are"."""

    def show(row: dict) -> str:
        line = f", line {row['line']:.0f}" if row["line"] > 0 else ""
        return f"series {row['unique_id']!r:.40}{line}: {str(row[column])!r:.40}"

    shown = "; ".join(show(row) for row in bad.head(EXAMPLES).to_dict("records"))
    more = "; ..." if len(bad) > EXAMPLES else ""
    noun, verb = ("rows", "are") if len(bad) > 1 else ("row", "is")
    return f"{len(bad):,} {noun} ({shown}{more}) {verb}"


def _numbers(values: pd.Series) -> pd.Series:
    """Return values as float64, NaN for what is no number: text, times, lists."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return pd.Series(np.nan, index=values.index)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except TypeError:  # lists and the like
        numbers = pd.to_numeric(values.astype(str), errors="coerce")
    return numbers.astype("float64")


def _column(name: str, data: Data) -> str:
    if name == "y":
        return f"data.target_column {data.target_column!r}"
    role = "future_columns" if name in data.future_columns else "past_columns"
    return f"data.{role} {name!r}"
