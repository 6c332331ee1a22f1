"""Files of each kind are read alike, and times mean the same moment however they are written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}}.data import readers
from {{cookiecutter.package_name}}.errors import UserError

COLUMNS = {"future_columns": ["event"], "past_columns": ["rain"], "id_column": "dock"}
ONE = {"future_columns": [], "past_columns": [], "id_column": None}
LONDON = {**ONE, "timezone": "Europe/London"}


@pytest.fixture
def read(given):
    """Read a file as the data stage does."""

    def read(content, name="hires.csv", **changes):
        params = given(content, name, **{**COLUMNS, **changes})
        return readers.read(Path(name), params.data, "data.source")

    return read


@pytest.fixture
def moments(read):
    """Read a column of times; return the moments, as text."""

    def moments(times, name="hires.csv", **changes):
        table = pd.DataFrame({"ts": times, "hires": range(len(times))})
        rows = read(table, name, **{**ONE, **changes})
        assert rows["ds"].dtype == "datetime64[s]"
        return [str(moment).replace(" ", "T") for moment in rows["ds"]]

    return moments


def table():
    return pd.DataFrame(
        {
            "ts": pd.to_datetime(["2024-05-01 00:00", "2024-05-01 01:00", "2024-05-01 00:00"]),
            "dock": ["Quay", "Quay", "Ärmel, NA"],
            "hires": [3, 0, 7],
            "rain": [0.5, 0.25, 0.0],
            "event": [0, 1, 0],
            "remark": ["dry", "", 'a "flood"'],
        }
    )


def as_csv(newline="\n"):
    return table().to_csv(index=False, lineterminator=newline)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (as_csv(), "hires.csv"),
        (as_csv(), "HIRES.CSV"),
        (as_csv("\r\n"), "hires.csv"),
        ("\ufeff" + as_csv(), "hires.csv"),
        (table()[["hires", "event", "rain", "dock", "ts"]], "hires.csv"),
        (table(), "hires.parquet"),
        (table().astype({"dock": "category", "hires": "float32"}), "hires.parquet"),
        (table().astype({"dock": "string", "hires": "Int64"}), "hires.parquet"),
        (table().astype({"ts": str}).astype({"ts": "category"}), "hires.parquet"),
        (table().assign(ts=table()["ts"].dt.tz_localize("UTC")), "hires.parquet"),
        (table().set_index(["dock", "ts"]), "hires.parquet"),
    ],
    ids=[
        "csv",
        "upper case",
        "Windows line ends",
        "byte order mark",
        "columns in another order",
        "parquet",
        "categories",
        "nullable types",
        "categories of times",
        "zoned",
        "index",
    ],
)
def test_each_kind_of_file_gives_the_same_rows(content, name, read):
    rows = read(content, name)
    assert list(rows) == ["unique_id", "ds", "y", "event", "rain", "line"]
    assert rows["unique_id"].tolist() == ["Quay", "Quay", "Ärmel, NA"]
    assert rows["ds"].tolist() == table()["ts"].tolist()
    for own, column in (("y", "hires"), ("event", "event"), ("rain", "rain")):
        assert rows[own].tolist() == table()[column].tolist()
    first = 2 if name.lower().endswith("csv") else 1
    assert rows["line"].tolist() == [first, first + 1, first + 2]


def test_names_of_series_stay_as_they_are_written(read):
    content = "ts,dock,hires\n2024-05-01,007,1\n2024-05-01,NA,2\n2024-05-01,1.50,3\n"
    rows = read(content, **{**ONE, "id_column": "dock"})
    assert rows["unique_id"].tolist() == ["007", "NA", "1.50"]


def test_without_an_id_column_all_rows_are_one_series(read):
    rows = read(as_csv(), id_column=None)
    assert rows["unique_id"].nunique() == 1


def test_words_for_nothing_are_a_missing_value(read):
    rows = read("ts,hires\n2024-05-01,NA\n2024-05-02,\n2024-05-03,nan\n2024-05-04,4\n", **ONE)
    np.testing.assert_array_equal(rows["y"], [np.nan, np.nan, np.nan, 4])


def test_blank_lines_are_no_rows_but_count_as_lines(read):
    content = "ts,hires\n2024-05-01,1\n\n2024-05-02,2\n\n\n2024-05-03,3\n\n"
    assert read(content, **ONE)["line"].tolist() == [2, 4, 7]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "hires.csv", "cannot be parsed"),
        ("\n\n", "hires.csv", "cannot be parsed"),
        (as_csv().splitlines()[0], "hires.csv", "holds no rows"),
        (table().head(0), "hires.parquet", "holds no rows"),
        (as_csv() + "2024-05-01 01:00,Quay,1,5,0,0,\n", "hires.csv", "line 5"),
        ("ts,dock,hires,rain,event\n2024-05-01,Quay,1,5,0,0\n", "hires.csv", "more fields"),
        (as_csv() + '"open\n', "hires.csv", "cannot be parsed"),
        (as_csv().encode("latin-1"), "hires.csv", "cannot be parsed"),
        ("no Parquet at all", "hires.parquet", "cannot be parsed"),
        (as_csv(), "hires.txt", "use a .csv or .parquet file"),
        (as_csv(), "hires", "use a .csv or .parquet file"),
        (as_csv(), "hires.csv.gz", "use a .csv or .parquet file"),
    ],
    ids=[
        "nothing",
        "blank lines",
        "head only",
        "no rows",
        "decimal comma in one row",
        "decimal comma in each row",
        "open quote",
        "another encoding",
        "no Parquet",
        "unknown suffix",
        "no suffix",
        "compressed",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(content, name, reason, read):
    with pytest.raises(UserError) as error:
        read(content, name)
    assert str(error.value).startswith(f"data.source: {name}")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "times",
    [
        ["2024-05-01 22:00", "2024-05-01 23:00"],
        ["2024-05-01T22:00", "2024-05-01T23:00:00"],
        ["2024-05-01T22:00Z", "2024-05-01T23:00:00Z"],
        ["2024-05-02T00:00+02:00", "2024-05-02T00:00+01:00"],
        ["2024-05-02 03:30:00+0530", "2024-05-01 16:00:00.000-07"],
    ],
    ids=["space", "T", "Z", "mixed offsets", "other offsets"],
)
def test_times_without_an_offset_stay_and_those_with_one_become_utc(times, moments):
    expected = ["2024-05-01T22:00:00", "2024-05-01T23:00:00"]
    assert moments(times) == moments(times, "hires.parquet") == expected


def test_dates_are_midnights(moments):
    expected = ["2024-05-01T00:00:00", "2024-05-02T00:00:00"]
    dates = pd.to_datetime(pd.Series(expected)).dt.date
    assert moments(dates) == moments(dates, "hires.parquet") == expected


@pytest.mark.parametrize(
    "bad", ["soon", "1/2/2024", "2024-02-30", "2024-05-01 25:00", "9999-01-01", "12", "<b>"]
)
@pytest.mark.parametrize("name", ["hires.csv", "hires.parquet"])
def test_unreadable_times_are_counted_and_three_are_shown(bad, name, moments):
    with pytest.raises(UserError) as error:
        moments(["2024-05-01", bad, bad, "2024-05-02", bad, bad], name)
    line = 3 if name.endswith("csv") else 2
    shown = "; ".join(f"series 'y', line {n}: {bad!r}" for n in (line, line + 1, line + 3))
    assert str(error.value) == (
        f"data.time_column 'ts' of {name}: 4 rows ({shown}; ...) are no ISO 8601 time, such as "
        "2024-05-01 13:00"
    )


@pytest.mark.parametrize("name", ["hires.csv", "hires.parquet"])
def test_numbers_are_no_times(name, moments):
    with pytest.raises(UserError, match=r"2 rows \(.*: '1714564800'; .*\) are no ISO 8601 time"):
        moments([1714564800, 1714568400], name)


def test_times_with_and_without_an_offset_are_not_mixed(moments):
    with pytest.raises(UserError, match=r"1 row \(.* line 3: .*\) is without an offset"):
        moments(["2024-05-01T00:00Z", "2024-05-01T01:00", "2024-05-01T02:00Z"])


def test_parts_of_a_second_are_refused(moments):
    with pytest.raises(UserError, match=r"1 row \(.*\) is not at a whole second"):
        moments(["2024-05-01T00:00:00", "2024-05-01T00:00:01.5"])


def test_missing_times_are_left_to_the_checks_of_time(moments):
    assert moments(["2024-05-01", None], "hires.parquet") == ["2024-05-01T00:00:00", "NaT"]


def test_local_times_become_utc(moments):
    local = ["2024-01-01 12:00", "2024-07-01 12:00"]
    assert moments(local, **LONDON) == ["2024-01-01T12:00:00", "2024-07-01T11:00:00"]
    table = pd.to_datetime(pd.Series(local))
    assert moments(table, "hires.parquet", **LONDON) == moments(local, **LONDON)


def test_an_offset_counts_more_than_the_zone(moments):
    zoned = ["2024-07-01T12:00Z", "2024-07-01T13:00Z"]
    assert moments(zoned, **LONDON) == ["2024-07-01T12:00:00", "2024-07-01T13:00:00"]


SPRING = ["2024-03-31 00:00", "2024-03-31 02:00", "2024-03-31 03:00"]
AUTUMN = ["2024-10-27 00:30", "2024-10-27 01:30", "2024-10-27 01:30", "2024-10-27 02:30"]


def test_the_hour_that_spring_skips_is_no_gap(moments):
    utc = moments(SPRING, **LONDON)
    assert utc == ["2024-03-31T00:00:00", "2024-03-31T01:00:00", "2024-03-31T02:00:00"]


def test_the_hour_that_autumn_repeats_is_no_duplicate(moments):
    utc = moments(AUTUMN, **LONDON)
    assert utc == [f"2024-10-2{day}:30:00" for day in ("6T23", "7T00", "7T01", "7T02")]


def test_the_hour_that_autumn_repeats_is_told_apart_in_each_series(read):
    rows = [(time, dock) for dock in ("a", "b") for time in AUTUMN]
    alternating = [(time, dock) for time in AUTUMN for dock in ("a", "b")]
    for order in (rows, alternating):
        frame = pd.DataFrame(order, columns=["ts", "dock"]).assign(hires=1)
        read_rows = read(frame, **{**LONDON, "id_column": "dock"})
        for _, series in read_rows.groupby("unique_id"):
            assert (series["ds"].diff().dropna() == pd.Timedelta("1h")).all()


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (["2024-03-31 00:30", "2024-03-31 01:30"], "line 3: .* skipped by the clocks of Europe"),
        ([AUTUMN[0], AUTUMN[1], AUTUMN[3]], "is there once, when clocks"),
        ([AUTUMN[1], AUTUMN[0], AUTUMN[3], AUTUMN[2]], "out of order"),
    ],
    ids=["spring", "autumn", "shuffled autumn"],
)
def test_local_times_that_are_not_clear_are_refused(times, reason, moments):
    with pytest.raises(UserError, match=f"^data.time_column 'ts' of hires.csv: .*{reason}"):
        moments(times, **LONDON)


def test_empty_names_of_series_are_refused(read):
    content = "ts,dock,hires,rain,event\n2024-05-01,,1,0,0\n2024-05-01,Quay,1,0,0\n"
    with pytest.raises(UserError, match=r"^data.id_column 'dock' of hires.csv: 1 row .* is empty$"):
        read(content)
    with pytest.raises(UserError, match=r"1 row .* is empty"):
        read(table().assign(dock=["Quay", None, "Pier"]), "hires.parquet")
