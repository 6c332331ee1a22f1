"""Series that are not regular are rejected with the number of rows, their series and lines."""

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import checks

TIME = "data.time_column 'ts' of hires.csv: "
HINT = "; if times are local with daylight saving, set data.timezone"
LIMIT = pa.Check(lambda values: ~(values > 9), error="above nine")


def table(hours=24, name="y", start="2024-03-01", y=1.0):
    """Rows of an hourly series as a reader returns them."""
    moments = pd.date_range(start, periods=hours, freq="h", unit="s")
    rows = pd.DataFrame({"ds": moments, "y": y, "rain": 0.5})
    return rows.assign(unique_id=name, line=np.arange(hours) + 2)


def time_fault(rows, freq="h", timezone=None, is_single=True):
    """Return why the times of rows are rejected, or None."""
    rows = rows.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    try:
        checks.check_times(rows, freq, timezone, is_single, "ts", "hires.csv")
    except UserError as error:
        return str(error)
    return None


def with_values(column, values, rows=None):
    """Return a table with some values of a column changed, by row."""
    rows = table() if rows is None else rows
    changed = rows.astype({column: object})
    for row, value in values.items():
        changed.at[row, column] = value
    return changed


def test_regular_series_pass():
    assert time_fault(table()) is None
    assert time_fault(pd.concat([table(name="a"), table(name="b")]), is_single=False) is None
    assert time_fault(table(hours=1)) is None


def test_each_series_may_have_its_own_grid():
    later = table(name="b", start="2024-03-01 00:30")
    assert time_fault(pd.concat([table(name="a"), later])) is None


def test_missing_times_are_rejected():
    bad = table().assign(ds=table()["ds"].where(lambda ds: ds.index != 5))
    assert time_fault(bad) == TIME + "1 row (series 'y', line 7: 'NaT') is missing"


def test_repeated_moments_are_rejected_with_a_hint():
    again = table().iloc[[5]].assign(line=99)
    reason = TIME + "1 row (series 'y', line 99: '2024-03-01 05:00:00') is repeated"
    bad = pd.concat([table(), again])
    many = "; if there are several series, set data.id_column"
    assert time_fault(bad) == reason + many + HINT
    assert time_fault(bad, is_single=False) == reason + HINT
    assert time_fault(bad, timezone="Europe/London", is_single=False) == reason


@pytest.mark.parametrize("freq", ["30min", "2h", "D", "15min"])
def test_another_frequency_is_rejected_with_the_right_one(freq):
    reason = f"data.freq: '{freq}' is not the step of hires.csv, which is mostly h"
    assert time_fault(table(72), freq) == reason


@pytest.mark.parametrize("moved", [0, 12, 23], ids=["first", "middle", "last"])
def test_moments_off_the_grid_are_rejected_wherever_they_are(moved):
    bad = table()
    bad.loc[moved, "ds"] += pd.Timedelta("7min")
    reason = time_fault(bad)
    assert reason.startswith(TIME + f"1 row (series 'y', line {moved + 2}: '")
    assert f"is off the grid of data.freq{HINT}" in reason


def test_a_day_of_local_time_that_is_shifted_gets_its_own_hint():
    bad = table(12)
    bad["ds"] = pd.date_range("2024-03-30", periods=12, freq="6h", unit="s")
    bad.loc[6:, "ds"] -= pd.Timedelta("1h")
    assert "set data.timezone to null, or data.freq to h" in time_fault(bad, "6h", "Europe/London")


@pytest.mark.parametrize("timezone", [None, "Europe/London"])
def test_days_that_are_no_days_apart_are_rejected_without_a_circle(timezone):
    """Midnights of London in UTC: no zone can be set that would not read them right."""
    bad = table(9)
    bad["ds"] = pd.date_range("2024-03-28", periods=9, freq="D", unit="s")
    bad.loc[4:, "ds"] -= pd.Timedelta("1h")
    reason = time_fault(bad, "D", timezone)
    assert reason.endswith(
        " are off the grid of data.freq; write plain dates, or offsets and in data.timezone the "
        "zone of the days"
    )
    again = time_fault(pd.concat([bad[:4], bad[3:4]]), "D", timezone, is_single=False)
    assert again.endswith("is repeated")


def test_a_time_that_is_far_away_is_rejected_before_it_fills_the_memory():
    bad = table()
    bad.loc[9, "ds"] = pd.Timestamp("2242-03-01")
    reason = time_fault(bad)
    assert reason.startswith(TIME + "24 rows (series 'y', ")
    assert "more than nine in ten steps between them are missing" in reason


@pytest.mark.parametrize("line", [7, 0], ids=["row without a value", "no row"])
def test_gaps_are_rejected_unless_they_are_to_be_filled(line):
    rows = with_values("y", {5: np.nan, 6: np.nan}).astype({"y": float})
    rows.loc[5, "line"] = line
    with pytest.raises(UserError) as error:
        checks.check_gaps(rows, "error", "hires", "hires.csv")
    first = "series 'y', line 7" if line else "series 'y'"
    assert str(error.value).startswith(
        f"data.gaps: in hires.csv 2 rows ({first}: '2024-03-01 05:00:00'; series 'y', line 8: "
        "'2024-03-01 06:00:00') are without a value; set it to fill "
    )
    for gaps in ("fill", "mask"):
        checks.check_gaps(rows, gaps, "hires", "hires.csv")


def test_a_series_without_any_value_is_rejected():
    rows = pd.concat([table(name="a"), table(name="b", y=np.nan)], ignore_index=True)
    with pytest.raises(UserError) as error:
        checks.check_gaps(rows, "mask", "hires", "hires.csv")
    reason = "data.target_column 'hires' of hires.csv: 24 rows (series 'b', line 2: 'nan'; "
    assert str(error.value).startswith(reason)
    assert str(error.value).endswith("; ...) are of a series without any value; remove it")


def values_faults(rows):
    """Return the lines of what is wrong with y, which may be missing, and rain, which may not."""
    columns = {"y": pa.Column(checks=[LIMIT], nullable=True), "rain": pa.Column(nullable=False)}
    fields = {name: f"the {name}" for name in columns}
    with pytest.raises(UserError) as error:
        checks.check_values(rows, pa.DataFrameSchema(columns), fields)
    return str(error.value).split("\n")


def test_values_that_are_not_numeric_are_counted_and_three_are_shown():
    text = {2: "ten", 4: "1,5", 7: "1.5 km", 8: [1], 9: {"a": 1}}
    [line] = values_faults(with_values("y", text))
    shown = "; ".join(f"series 'y', line {row + 2}: {text[row]!r}" for row in (2, 4, 7))
    assert line == f"the y: 5 rows ({shown}; ...) are not numeric"


def test_everything_that_is_wrong_with_values_is_said_at_once():
    rows = with_values("y", {5: "many", 6: 10, 7: None}, with_values("rain", {3: "wet", 4: None}))
    assert values_faults(rows) == [
        "the y: 1 row (series 'y', line 7: 'many') is not numeric",
        "the rain: 1 row (series 'y', line 5: 'wet') is not numeric",
        "the y: 1 row (series 'y', line 8: '10') is above nine",
        "the rain: 1 row (series 'y', line 6: 'None') is missing",
    ]


def test_times_are_not_numbers():
    [line] = values_faults(table().assign(y=table()["ds"]))
    assert line.startswith("the y: 24 rows (")


DURATIONS = pd.to_timedelta(np.arange(24), unit="min")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["as they are", "category", object])
def test_durations_are_not_numbers_in_any_unit(unit, kind):
    values = pd.Series(DURATIONS.as_unit(unit))
    values = values if kind == "as they are" else values.astype(kind)
    [line] = values_faults(table().assign(y=values))
    assert line.startswith("the y: 24 rows (series 'y', line 2: '0 days 00:00:00'; ")
    assert line.endswith(
        ") are not numeric; write durations in one unit, in pandas pd.to_timedelta(values) / "
        "pd.Timedelta(minutes=1)"
    )
    lines = values_faults(table().assign(rain=values.where(values.index > 2)))
    assert lines[0].startswith("the rain: 21 rows (")


@pytest.mark.parametrize(
    "text", ["00:48:24", "0 days 00:48:24", "1 day, 0:02:00.5", "-1 days +23:59:00", "PT48M"]
)
def test_durations_in_text_are_named_too(text):
    assert pd.notna(pd.to_timedelta(text))  # which the message advises
    [line] = values_faults(with_values("y", {3: text}))
    assert "is not numeric; write durations in one unit" in line


def test_decimal_commas_are_named():
    [line] = values_faults(with_values("y", {2: "1,5", 4: "-12,75"}))
    assert line.endswith(" are not numeric; write 1200.5, without commas")


def test_complex_numbers_are_not_numbers():
    [line] = values_faults(table().assign(y=np.full(24, 1 + 1j)))
    assert line.startswith("the y: 24 rows (")


@pytest.mark.parametrize("value", [1e30, -1e39, 1e300])
def test_numbers_that_a_model_cannot_compute_with_are_rejected(value):
    """What float32 holds no more would become infinite."""
    lines = values_faults(with_values("y", {3: value}, with_values("rain", {5: value})))
    assert lines[0].startswith("the y: 1 row (series 'y', line 5: ")
    assert [line[-16:] for line in lines[:2]] == ["is not below 1e+30"[-16:]] * 2


@pytest.mark.parametrize("kind", ["category", "Int64", "float32", str])
def test_numbers_of_any_kind_become_floats(kind):
    rows = table().assign(y=np.arange(24) % 9)
    schema = pa.DataFrameSchema({"y": pa.Column(float, nullable=True)})
    found = checks.check_values(rows.astype({"y": kind}), schema, {"y": "the y"})
    assert found["y"].dtype == np.float64
    assert found["y"].tolist() == rows["y"].tolist()


def test_long_names_and_values_are_cut():
    rows = table(name="x" * 5000).assign(y="z" * 5000)
    assert len(checks.describe(rows, "y")) < 400
