"""Data that cannot be trained on is rejected by parameter, number of rows, series and line."""

import csv
import io
import os

import hypothesis
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import strategies as st
from type_fixtures import make_hires

from portfolio_kit import artifacts
from portfolio_kit.config import PARAMS_FILE
from portfolio_kit.errors import UserError

from {{cookiecutter.package_name}}.data.prepare import BLOCKS

TIME = "error: data.time_column 'ts' of hires.csv: "
TARGET = "error: data.target_column 'hires' of hires.csv: "


@pytest.fixture
def reasons(given, rejection):
    """Return what `data` says of a file that it must reject."""

    def reasons(content, name="hires.csv", **changes):
        given(content, name, **changes)
        return rejection("data")

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
def test_a_missing_column_is_named_with_those_that_are_there(changes, missing, hires, reasons):
    [line] = reasons(hires, **changes)
    assert line == f"error: {missing}; it has 'ts', 'hires', 'rain', 'event'"


@pytest.mark.parametrize("role", ["id_column", "target_column", "past_columns"])
def test_a_column_with_two_roles_is_rejected(role, hires, given):
    column = ["event"] if role == "past_columns" else "event"
    with pytest.raises(UserError, match="column 'event' has two roles; give it one"):
        given(hires, **{role: column})


def test_a_missing_frequency_is_named(rejection):
    values = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    del values["data"]["freq"]
    PARAMS_FILE.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert rejection("data") == ["error: params.yaml: data.freq is missing"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"freq": "M"}, "data.freq: 'M' is not a step of fixed length; write "),
        ({"timezone": "Europe/Lundon"}, "data.timezone: there is no zone 'Europe/Lundon'"),
        ({"holidays": "Washington"}, "data.holidays: "),
    ],
    ids=["frequency", "zone", "holidays"],
)
def test_an_unknown_calendar_is_rejected_before_the_data_is_read(changes, reason, reasons):
    [line] = reasons("not a table", **changes)
    assert line.startswith(f"error: {reason}")


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
    assert lines[0] == f"error: {field} of {name}: 5 rows ({shown}; ...) are not numeric"
    assert lines[1].startswith(f"error: {field} of {name}: 2 rows (series 'y', line {9 + first}: ")
    assert lines[1].endswith(" are infinite")
    assert len(lines) == 2


@pytest.mark.parametrize("column", ["rain", "event"])
def test_missing_covariates_are_rejected(column, hires, reasons):
    [line] = reasons(with_values(hires, column, {5: None}))
    role = {"rain": "past", "event": "future"}[column]
    assert line == (
        f"error: data.{role}_columns {column!r} of hires.csv: 1 row (series 'y', line 7: 'nan') "
        "is missing"
    )


def test_everything_that_is_wrong_with_values_is_said_at_once(hires, reasons):
    bad = with_values(with_values(hires, "rain", {3: "wet", 4: None}), "hires", {5: "many"})
    lines = reasons(bad)
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["numeric", "numeric", "missing"]


def test_where_values_are_positive_others_are_rejected(given, run, hires, reasons):
    bad = with_values(hires.assign(hires=hires["hires"] + 1), "hires", {8: 0, 9: -3})
    [line] = reasons(bad, positive=True)
    shown = "series 'y', line 10: '0'; series 'y', line 11: '-3'"
    assert line == TARGET + f"2 rows ({shown}) are not above zero (data.positive)"
    given(bad, positive=False)
    assert run("data").code == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: pd.concat([rows, rows.iloc[[5]]]), "is repeated; if there are several "),
        (lambda rows: rows.assign(ts=rows["ts"].where(rows.index != 5)), "1 row (series 'y', line"),
        (
            lambda rows: rows.assign(ts=rows["ts"] + pd.to_timedelta((rows.index == 9) * 7, "min")),
            "is off the grid of data.freq",
        ),
        (lambda rows: rows.assign(ts="2024-02-30"), "are not in ISO 8601"),
    ],
    ids=["repeated", "missing", "off the grid", "not a time"],
)
def test_times_that_are_not_regular_are_rejected(change, reason, hires, reasons):
    [line] = reasons(change(hires))
    assert line.startswith(TIME)
    assert reason in line


def test_the_same_moment_in_two_series_is_not_a_repetition(given, run, hires):
    given(pd.concat([hires.assign(dock="a"), hires.assign(dock="b")]), id_column="dock")
    assert run("data").code == 0


def test_another_frequency_than_that_of_the_times_is_rejected(hires, reasons):
    [line] = reasons(hires, freq="D")
    assert line == "error: data.freq: 'D' is not the step of hires.csv, which is mostly h"


@pytest.mark.parametrize("as_row", [True, False], ids=["row without a value", "no row"])
def test_gaps_are_rejected_unless_they_are_to_be_filled(as_row, hires, reasons):
    places = [100, 101, 102, 500]
    empty = with_values(hires, "hires", dict.fromkeys(places))
    [line] = reasons(empty if as_row else hires.drop(index=places))
    assert line.startswith("error: data.gaps: in hires.csv 4 rows (series 'y'")
    for moment in ("2024-03-05 04:00:00'", "2024-03-05 05:00:00'", "2024-03-05 06:00:00'; ...)"):
        assert moment in line
    assert ("line 102: " in line) == as_row
    assert "set it to fill" in line


def test_a_series_without_any_value_is_rejected(hires, reasons):
    both = pd.concat([hires.assign(dock="a"), hires.assign(dock="b", hires=np.nan)])
    [line] = reasons(both, id_column="dock", gaps="mask")
    assert line.startswith(TARGET + "1,440 rows (series 'b', line 1442: ")
    assert "of a series without any value" in line


def test_series_that_are_too_short_are_named_with_their_steps(hires, reasons):
    docks = [hires.assign(dock="long")]
    docks += [hires.tail(450 + n).assign(dock=f"short {n}") for n in range(4)]
    [line] = reasons(pd.concat(docks), id_column="dock")
    # 432 steps are in the validation and test blocks.
    assert line.startswith(
        "error: model.seasons: 4 series ('short 0' (18), 'short 1' (19), 'short 2' (20), ...) have "
        "fewer than 108 steps before the validation block"
    )


def test_the_shortest_usable_series_is_accepted(given, run, hires):
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
def test_blocks_shorter_than_a_horizon_are_rejected(block, given, rejection, run, hires):
    given(hires, **{f"{block}_fraction": 11 / 1440})
    [line] = rejection("data")
    assert line.startswith(f"error: data.{block}_fraction: its block has 11 steps, fewer than the")
    given(hires, **{f"{block}_fraction": 12 / 1440})
    assert run("data").code == 0


def test_local_times_without_a_zone_are_rejected_with_a_hint(given, run, hires, reasons):
    utc = hires["ts"].dt.tz_localize("UTC") + pd.Timedelta("210D")  # with the end of October
    local = hires.assign(ts=utc.dt.tz_convert("Europe/London").dt.tz_localize(None))
    [line] = reasons(local)
    assert line == TIME + (
        "1 row (series 'y', line 723: '2024-10-27 01:00:00') is repeated; if there are several "
        "series, set data.id_column; if times are local with daylight saving, set data.timezone"
    )
    given(local, timezone="Europe/London")
    assert run("data").code == 0


def test_days_with_an_offset_are_the_dates_as_written(given, run):
    """Holidays and weekdays are those of the dates; so are answers, and what requests may hold."""
    days = pd.date_range("2023-01-01", periods=400).astype(str)
    rows = pd.DataFrame({"ts": days, "hires": range(400), "rain": 0.5, "event": 0})
    found = []
    for offset in ("", "T00:00:00+09:00", "T00Z"):
        for timezone in (None, "Asia/Tokyo"):
            daily = rows.assign(ts=days + offset)
            given(daily, freq="D", timezone=timezone, holidays="JP")
            assert run("data").code == 0
            blocks = [pd.read_parquet(artifacts.PROCESSED / f"{name}.parquet") for name in BLOCKS]
            found.append(pd.concat(blocks))
            pd.testing.assert_frame_equal(found[-1], found[0])
    assert found[0]["ds"].dt.strftime("%Y-%m-%d").tolist() == days.tolist()


def test_names_that_differ_by_blanks_are_one_series(given, run, hires):
    names = pd.Series(["Quay", "Quay "] * (len(hires) // 2))
    given(hires.assign(dock=names), id_column="dock")
    outcome = run("data")
    assert outcome.code == 0
    assert "1 joined with a name that differs only by blanks" in outcome.out
    assert "; 1 series; 0 values filled" in outcome.out


def test_durations_are_no_target(hires, reasons):
    [line] = reasons(hires.assign(hires=pd.to_timedelta(hires["hires"], "min")), "hires.parquet")
    assert line.startswith("error: data.target_column 'hires' of hires.parquet: 1,440 rows (series")
    assert "are not numeric; write durations in one unit, in pandas pd.to_timedelta" in line


@pytest.mark.parametrize("season", [2**31, 2**63, 10**30])
def test_a_season_longer_than_any_is_rejected(season, rejection, given, hires):
    given(hires.drop(index=[30]), gaps="fill")
    [line] = rejection("data", "--set", f"season_lengths=[{season}]")
    assert line.startswith("error: --set season_lengths.0: ")


GOOD = make_hires(days=16)[["ts", "hires", "rain", "event"]].astype(str).to_numpy().tolist()
ODD = st.one_of(
    st.datetimes().map(str),
    st.sampled_from(["", "nan", "inf", "1e309", "-5", "0", "1,5", "2262-04-11 23:47:17", "\x00"]),
    st.floats().map(repr),
    st.text(max_size=9),
)
SETTINGS = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from([None, "America/New_York"]),
        "gaps": st.sampled_from(["error", "fill", "mask"]),
        "freq": st.sampled_from(["h", "h", "30min", "D", "9999W"]),
        "positive": st.booleans(),
    }
)


@hypothesis.settings(
    max_examples=40 * int(os.environ.get("HARDER", "1")),
    derandomize=True,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 3), ODD), max_size=3),
    st.one_of(st.none(), st.integers(1, len(GOOD))),
    SETTINGS,
)
def test_any_file_is_split_or_rejected_in_plain_words(run, given, cells, length, settings):
    rows = [list(row) for row in GOOD]
    for row, column, odd in cells:
        rows[row][column] = odd
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["ts", "hires", "rain", "event"], *rows[:length]])
    given(file.getvalue().encode("utf-8", "surrogatepass"), **settings)
    outcome = run("data")
    if outcome.code == 0:
        tables = [pd.read_parquet(artifacts.PROCESSED / f"{name}.parquet") for name in BLOCKS]
        blocks = pd.concat(tables)
        assert blocks["ds"].diff().dropna().nunique() == 1
        assert np.isfinite(blocks[["y", "rain", "event"]].to_numpy()).all()
    for line in outcome.err.splitlines():
        assert line.startswith(("error: data.", "error: model.seasons: ")), line
        assert len(line) < 2_000
