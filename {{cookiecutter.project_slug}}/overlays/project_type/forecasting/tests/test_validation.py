"""Data that cannot be trained on is refused by parameter, number of rows, series and line."""

import numpy as np
import pandas as pd
import pytest
import yaml

from {{cookiecutter.package_name}}.config import PARAMS_FILE

TIME = "error: data.time_column 'ts' of hires.csv: "
TARGET = "error: data.target_column 'hires' of hires.csv: "


@pytest.fixture
def reasons(given, refusal):
    """Return what `data` says of a file that it has to refuse."""

    def reasons(content, name="hires.csv", **changes):
        given(content, name, **changes)
        return refusal("data")

    return reasons


def with_values(hires, column, values):
    """Return the hires with some values of a column changed, by row."""
    changed = hires.astype({column: object})
    for row, value in values.items():
        changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"time_column": "time"}, "data.time_column: hires.csv has no column 'time'"),
        ({"target_column": "Hires"}, "data.target_column: hires.csv has no column 'Hires'"),
        ({"id_column": "dock"}, "data.id_column: hires.csv has no column 'dock'"),
        ({"past_columns": ["rain", "sun"]}, "data.past_columns[1]: hires.csv has no column 'sun'"),
        ({"future_columns": ["fair"]}, "data.future_columns[0]: hires.csv has no column 'fair'"),
    ],
)
def test_a_missing_column_is_named_beside_those_that_are_there(changes, missing, hires, reasons):
    [line] = reasons(hires, **changes)
    assert line == f"error: {missing}; it has 'ts', 'hires', 'rain', 'event'"


def test_a_column_that_is_there_twice_is_refused(reasons):
    [line] = reasons("ts,hires,rain,event,hires\n2024-03-01,1,2,3,4\n")
    assert line.startswith("error: data.target_column: hires.csv has 2 columns 'hires'; it has ")


def test_a_covariate_may_not_have_a_name_that_the_project_uses(hires, reasons):
    [line] = reasons(hires.rename(columns={"rain": "line"}), past_columns=["line"])
    assert line == "error: data.past_columns: the project itself uses 'line'; rename the column"


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("hires", "data.target_column 'hires'"),
        ("rain", "data.past_columns 'rain'"),
        ("event", "data.future_columns 'event'"),
    ],
)
@pytest.mark.parametrize("name", ["hires.csv", "hires.parquet"])
def test_text_and_infinities_are_counted_and_three_are_shown(column, field, name, hires, reasons):
    text = {2: "ten", 4: "1,5", 7: "1.5 km", 8: "ten", 900: "ten"}
    bad = with_values(hires, column, {**text, 9: "inf", 11: "-inf"})
    lines = reasons(bad.astype({column: str}), name)
    first = 2 if name.endswith("csv") else 1
    shown = "; ".join(f"series 'y', line {row + first}: {text[row]!r}" for row in (2, 4, 7))
    assert lines[0] == f"error: {field} of {name}: 5 rows ({shown}; ...) are no number"
    assert lines[1].startswith(f"error: {field} of {name}: 2 rows (series 'y', line {9 + first}: ")
    assert lines[1].endswith(" are infinite")
    assert len(lines) == 2


@pytest.mark.parametrize("column", ["rain", "event"])
def test_missing_covariates_are_refused(column, hires, reasons):
    [line] = reasons(with_values(hires, column, {5: None}))
    role = {"rain": "past", "event": "future"}[column]
    assert line == (
        f"error: data.{role}_columns {column!r} of hires.csv: 1 row (series 'y', line 7: 'nan') "
        "is missing"
    )


def test_everything_that_is_wrong_with_values_is_said_at_once(hires, reasons):
    bad = with_values(with_values(hires, "rain", {3: "wet", 4: None}), "hires", {5: "many"})
    lines = reasons(bad)
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["number", "number", "missing"]


def test_times_are_no_numbers(hires, reasons):
    [line] = reasons(hires.assign(hires=hires["ts"]), "hires.parquet")
    assert line.startswith("error: data.target_column 'hires' of hires.parquet: 1,440 rows (")
    assert line.endswith("are no number")


def test_where_values_are_positive_others_are_refused(given, run, hires, reasons):
    bad = with_values(hires.assign(hires=hires["hires"] + 1), "hires", {8: 0, 9: -3})
    [line] = reasons(bad, positive=True)
    shown = "series 'y', line 10: '0'; series 'y', line 11: '-3'"
    assert line == TARGET + f"2 rows ({shown}) are not above zero (data.positive)"
    given(bad, positive=False)
    assert run("data").code == 0


def test_missing_times_are_refused(hires, reasons):
    [line] = reasons(with_values(hires.assign(ts=hires["ts"].astype(str)), "ts", {5: None}))
    assert line == TIME + "1 row (series 'y', line 7: 'NaT') is missing"


def test_moments_that_are_there_twice_are_refused(hires, reasons):
    [line] = reasons(pd.concat([hires, hires.iloc[[5]]]))
    assert line == TIME + (
        "1 row (series 'y', line 1442: '2024-03-01 05:00:00') is there twice; if there are several "
        "series, set data.id_column; if times are local with daylight saving, set data.timezone"
    )
    [line] = reasons(pd.concat([hires, hires.iloc[[5]]]).assign(dock="a"), id_column="dock")
    assert line.endswith(
        "is there twice; if times are local with daylight saving, set data.timezone"
    )


def test_the_same_moment_in_two_series_is_no_duplicate(given, run, hires):
    given(pd.concat([hires.assign(dock="a"), hires.assign(dock="b")]), id_column="dock")
    assert run("data").code == 0


@pytest.mark.parametrize(
    ("freq", "most"), [("30min", "h"), ("2h", "h"), ("D", "h"), ("15min", "h")]
)
def test_another_frequency_than_the_times_have_is_refused(freq, most, hires, reasons):
    [line] = reasons(hires, freq=freq)
    assert line == f"error: data.freq: '{freq}' does not fit hires.csv: most steps are {most}"


@pytest.mark.parametrize("freq", ["", "H", "MS", "0h", "00min", "1.5h", "-1h", "hourly", "90s"])
def test_what_is_no_frequency_is_refused(freq, hires, reasons):
    [line] = reasons(hires, freq=freq)
    assert line.startswith(f"error: data.freq: {freq!r} is no step of fixed length; write ")


def test_a_missing_frequency_is_named(refusal):
    values = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    del values["data"]["freq"]
    PARAMS_FILE.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert refusal("data") == ["error: params.yaml: data.freq is missing"]


@pytest.mark.parametrize("moved", [0, 700, 1439], ids=["first", "middle", "last"])
def test_moments_off_the_grid_are_refused_wherever_they_are(moved, hires, reasons):
    bad = hires.copy()
    bad.loc[moved, "ts"] += pd.Timedelta("7min")
    [line] = reasons(bad)
    assert line.startswith(TIME + f"1 row (series 'y', line {moved + 2}: '")
    assert "is off the grid of data.freq" in line


def test_each_series_may_have_a_grid_of_its_own(given, run, hires):
    later = hires.assign(dock="b", ts=hires["ts"] + pd.Timedelta("30min"))
    given(pd.concat([hires.assign(dock="a"), later]), id_column="dock")
    assert run("data").code == 0


def test_a_time_that_is_far_away_is_refused_before_it_fills_the_memory(hires, reasons):
    bad = hires.assign(ts=hires["ts"].where(hires.index != 9, pd.Timestamp("2242-03-01")))
    [line] = reasons(bad, gaps="fill")
    assert line.startswith(TIME + "1,440 rows (series 'y', ")
    assert "more than nine in ten steps between them are missing" in line


@pytest.mark.parametrize("as_row", [True, False], ids=["row without a value", "no row"])
def test_gaps_are_refused_unless_something_else_is_asked_for(as_row, hires, reasons):
    places = [100, 101, 102, 500]
    empty = with_values(hires, "hires", dict.fromkeys(places))
    bad = empty if as_row else hires.drop(index=places)
    [line] = reasons(bad)
    assert line.startswith("error: data.gaps: in hires.csv 4 rows (series 'y'")
    for moment in ("2024-03-05 04:00:00'", "2024-03-05 05:00:00'", "2024-03-05 06:00:00'; ...)"):
        assert moment in line
    assert ("line 102: " in line) == as_row
    assert "set it to fill" in line


def test_a_series_without_any_value_is_refused(hires, reasons):
    both = pd.concat([hires.assign(dock="a"), hires.assign(dock="b", hires=np.nan)])
    [line] = reasons(both, id_column="dock", gaps="mask")
    assert line.startswith(TARGET + "1,440 rows (series 'b', line 1442: ")
    assert "of a series without any value" in line


def test_series_too_short_are_named_with_their_steps(hires, reasons):
    docks = [hires.assign(dock="long")]
    docks += [hires.tail(450 + n).assign(dock=f"short {n}") for n in range(4)]
    [line] = reasons(pd.concat(docks), id_column="dock")
    # 432 steps are in the validation and test blocks.
    assert line.startswith(
        "error: model.seasons: 4 series ('short 0' (18), 'short 1' (19), 'short 2' (20), ...) have "
        "fewer than 108 steps before the validation block"
    )


def test_the_shortest_series_that_will_do_is_taken(given, run, refusal, hires):
    # A history takes two times 48 steps: see `Shape.history`; a window 12 more.
    for length, code in ((432 + 108, 0), (432 + 107, 1)):
        short = hires.tail(length).assign(dock="short")
        given(pd.concat([hires.assign(dock="long"), short]), id_column="dock")
        assert run("data").code == code


def test_series_that_end_before_the_test_block_has_a_horizon_are_named(given, run, hires, reasons):
    long = hires.assign(dock="long")
    ended = hires.head(1440 - 288 + 11).assign(dock="ended")
    [line] = reasons(pd.concat([long, ended]), id_column="dock")
    shown = "'ended' (ends 2024-04-18 10:00:00)"
    assert line.startswith(f"error: data.test_fraction: 1 series ({shown}) end before the test")
    given(pd.concat([long, hires.head(1440 - 288 + 12).assign(dock="ends")]), id_column="dock")
    assert run("data").code == 0


@pytest.mark.parametrize("block", ["valid", "test"])
def test_blocks_shorter_than_a_horizon_are_refused(block, given, refusal, run, hires):
    given(hires, **{f"{block}_fraction": 11 / 1440})
    [line] = refusal("data")
    assert line.startswith(f"error: data.{block}_fraction: its block has 11 steps, fewer than the")
    given(hires, **{f"{block}_fraction": 12 / 1440})
    assert run("data").code == 0


@pytest.mark.parametrize("zone", ["Europe/Lundon", "Europe", "../etc/passwd", "", "BST+1:30"])
def test_an_unknown_time_zone_is_refused(zone, hires, reasons):
    [line] = reasons(hires, timezone=zone)
    assert line == f"error: data.timezone: there is no zone {zone!r}; Europe/London is one"


@pytest.mark.parametrize("place", ["XX", "US-XX", "Washington", ""])
def test_an_unknown_place_of_holidays_is_refused(place, hires, reasons):
    [line] = reasons(hires, holidays=place)
    assert line.startswith("error: data.holidays: ")


def test_days_have_no_time_zone(hires, reasons):
    daily = hires.assign(ts=pd.date_range("2020-01-01", periods=len(hires), freq="D"))
    [line] = reasons(daily, freq="D", timezone="Europe/London")
    assert line.startswith("error: data.timezone: local days have 23 to 25 hours")


def test_local_times_without_a_zone_are_refused_with_a_hint(given, run, hires, reasons):
    utc = hires["ts"].dt.tz_localize("UTC") + pd.Timedelta("210D")  # with the end of October
    local = hires.assign(ts=utc.dt.tz_convert("Europe/London").dt.tz_localize(None))
    [line] = reasons(local)
    assert line == TIME + (
        "1 row (series 'y', line 723: '2024-10-27 01:00:00') is there twice; if there are several "
        "series, set data.id_column; if times are local with daylight saving, set data.timezone"
    )
    given(local, timezone="Europe/London")
    assert run("data").code == 0


def test_a_long_name_is_shown_cut_short(hires, reasons):
    [line] = reasons(pd.concat([hires, hires]).assign(dock="x" * 5000), id_column="dock")
    assert len(line) < 400
