"""Whatever a data file holds: regular series of finite numbers, or a reason in plain words."""

import csv
import io
import math
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pyarrow.parquet as pq
import pytest
from hostile import CRUMBS, altered, examples
from hypothesis import given as with_examples
from hypothesis import strategies as st

from portfolio_kit.errors import UserError, lines_of
from portfolio_kit.timegrid import checks, files, table, times
from portfolio_kit.timegrid.calendar import check_calendar

NAMES = ["dock", "ts", "hires", "rain", "event"]
COVARIATES = {"data.future_columns": ["event"], "data.past_columns": ["rain"]}
KNOWN = tuple(
    f"data.{name}"
    for name in (
        "source",
        "freq",
        "gaps",
        "timezone",
        *("time_column", "target_column", "id_column", "future_columns", "past_columns"),
    )
)
FINITE = pa.Check(lambda values: ~np.isinf(values), error="infinite")
SCHEMA = pa.DataFrameSchema(
    {
        "y": pa.Column(checks=[FINITE], nullable=True),
        "rain": pa.Column(checks=[FINITE], nullable=False),
        "event": pa.Column(checks=[FINITE], nullable=False),
    }
)
FIELDS = {"y": "data.target_column", "rain": "data.past_columns", "event": "data.future_columns"}
MOMENTS = st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("America/New_York")]))
TIMES = st.one_of(
    MOMENTS.map(str),
    MOMENTS.map(datetime.isoformat),
    st.integers(0, 400).map(lambda hour: str(datetime(2024, 3, 1 + hour // 24, hour % 24))),
    st.sampled_from(
        [
            "2024-03-10 02:30",  # skipped in Washington
            "2024-03-03 01:00Z",
            "2024-03-03T01:00:00.5",
            "1677-09-21 00:12:43",  # just beyond what nanoseconds can hold
            "2262-04-11 23:47:17",
            "9999-12-31 23:59:59",
            "0000-01-01",
            "-0001-01-01",
            "99999-01-01",
            "2024-W10-1",
            "20240305T03",
            "2024-03-05T24:00",
            "2024-03-05 23:59:60",
            "now",
            "NaT",
            "1709596800",
            "0",
        ]
    ),
)
NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["", "nan", "inf", "-Infinity", "1e309", "1e-400", "1,5", "1_0", "0x10"]),
    st.sampled_from(["1e30", "True", "½", "9" * 25, "-" + "9" * 400, "0." + "9" * 400]),
)
ODD = st.one_of(TIMES, NUMBERS, st.sampled_from(CRUMBS), st.text(max_size=9))
SETTINGS = st.fixed_dictionaries(
    {
        "series": st.sampled_from([None, "dock"]),
        "timezone": st.sampled_from([None, None, "America/New_York"]),
        "gaps": st.sampled_from(["error", "fill", "mask"]),
        "freq": st.sampled_from(["h", "h", "h", "30min", "D", "9999W"]),
    }
)


def make_rows(hours=384):
    """Rows of an hourly series, as text."""
    random = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "dock": "Quay",
            "ts": pd.date_range("2024-03-01", periods=hours, freq="h"),
            "hires": random.integers(0, 200, hours),
            "rain": random.gamma(0.5, 2.0, hours).round(1),
            "event": random.integers(2, size=hours),
        }
    )
    return table.astype(str).to_numpy().tolist()


GOOD = make_rows()


def as_csv(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([NAMES, *rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(rows):
    file = io.BytesIO()
    frame = pd.DataFrame(rows, columns=NAMES)
    frame["ts"] = pd.to_datetime(frame["ts"])
    frame.astype({"hires": int, "rain": float, "event": int}).to_parquet(file)
    return file.getvalue()


def as_jsonl(rows):
    frame = pd.DataFrame(rows, columns=NAMES)
    frame = frame.astype({"hires": int, "rain": float, "event": int})
    return frame.to_json(orient="records", lines=True).encode()


def prepare(content, name, series=None, timezone=None, gaps="error", freq="h"):
    """Return regular series made of a file; raises `UserError` for others, as a data stage does."""
    Path(name).write_bytes(content)
    check_calendar(freq, timezone, None)
    rows = files.read(Path(name), "data.source", "ts", "hires", series, COVARIATES)
    rows = rows.assign(ds=times.moments(rows, freq, timezone, "data.time_column")[0])
    rows = rows.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    rows, _ = table.without_ends(rows)
    rows = checks.check_values(rows, SCHEMA, FIELDS)
    checks.check_times(rows, freq, timezone, series is None, "ts", name)
    rows = table.complete(rows, freq)
    checks.check_gaps(rows, gaps, "hires", name)
    return table.fill(rows, [24, 168], gaps)[0]


def prepared(content, name, **settings):
    """Return the series made of a file, or None if it is rejected as it should be."""
    try:
        rows = prepare(content, name, **settings)
    except UserError as error:
        for line in lines_of(error):
            assert line.startswith(KNOWN), line
            assert len(line) < 2_000, line
        return None
    assert not rows.isna().any(axis=None)
    for _, series in rows.groupby("unique_id"):
        assert series["ds"].diff().dropna().nunique() <= 1
    for column in ("y", "rain", "event"):
        assert rows[column].map(math.isfinite).all()
    return rows


def check_values(rows, given, timezone=None):
    """What was observed is in the file at that very moment, read by another library."""
    zone = ZoneInfo(timezone) if timezone else UTC
    known = set()
    for _, ts, hires, _, _ in given:
        try:
            moment = datetime.fromisoformat(ts)
            for fold in (0, 1):
                whole = moment if moment.tzinfo else moment.replace(tzinfo=zone, fold=fold)
                known.add((whole.astimezone(UTC).replace(tzinfo=None), float(hires)))
        except (ValueError, OverflowError):
            continue
    observed = rows[rows["observed"]]
    moments = observed["ds"].to_numpy("datetime64[us]").tolist()
    assert set(zip(moments, observed["y"], strict=True)) <= known


@pytest.mark.parametrize("series", [None, "dock"])
def test_unaltered_files_are_prepared(series):
    for kind, write in (("csv", as_csv), ("parquet", as_parquet), ("jsonl", as_jsonl)):
        rows = prepared(write(GOOD), f"hires.{kind}", series=series)
        assert len(rows) == len(GOOD)
        check_values(rows, GOOD)


@examples(100)
@with_examples(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 4), ODD), max_size=4),
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 3)), max_size=2),
    SETTINGS,
)
def test_any_cells_and_rows_are_prepared_or_rejected(cells, copies, settings):
    given = [list(row) for row in GOOD]
    for row, column, odd in cells:
        given[row][column] = odd
    for row, count in copies:  # none: the row is left out
        row %= len(given)
        given[row : row + 1] = [given[row]] * count
    rows = prepared(as_csv(given), "hires.csv", **settings)
    if rows is not None and settings["gaps"] != "fill":
        check_values(rows, given, settings["timezone"])


COLUMN_KINDS = {
    "text": lambda column: column.astype(str),
    "category": lambda column: column.astype("category"),
    "bytes": lambda column: column.astype(str).str.encode("utf-8"),
    "lists": lambda column: column.map(lambda value: [value]),
    "records": lambda column: column.map(lambda value: {"value": value}),
    "nothing": lambda column: column.map(lambda value: None),
    "half nothing": lambda column: column.where(column.index % 2 == 0),
    "truth": lambda column: column.index % 2 == 0,
    "days": lambda column: pd.to_timedelta(column.index, unit="D"),
    "dates": lambda column: pd.Series(pd.date_range("2024-03-01", periods=len(column))).dt.date,
    "hours": lambda column: pd.date_range("2024-03-01", periods=len(column), freq="h"),
    "hours there": lambda column: pd.date_range("2024-03-01", None, len(column), "h", "US/Pacific"),
    "huge": lambda column: [2**63 + 2**11] * len(column),
    "decimals": lambda column: column.map(lambda _: __import__("decimal").Decimal("1.5")),
}


@examples(60)
@with_examples(
    st.dictionaries(
        st.sampled_from(NAMES), st.sampled_from(list(COLUMN_KINDS)), min_size=1, max_size=2
    ),
    SETTINGS,
)
def test_columns_of_any_kind_are_prepared_or_rejected(kinds, settings):
    frame = pd.read_parquet(io.BytesIO(as_parquet(GOOD)))
    for column, kind in kinds.items():
        frame[column] = COLUMN_KINDS[kind](frame[column])
    file = io.BytesIO()
    frame.to_parquet(file)
    prepared(file.getvalue(), "hires.parquet", **settings)


@examples(100)
@with_examples(altered(as_csv(GOOD)), SETTINGS)
def test_any_altered_csv_is_prepared_or_rejected(content, settings):
    prepared(content, "hires.csv", **settings)


@examples(60)
@with_examples(altered(as_parquet(GOOD)))
def test_any_altered_parquet_is_prepared_or_rejected(content):
    prepared(content, "hires.parquet")


@examples(60)
@with_examples(altered(as_jsonl(GOOD)), SETTINGS)
def test_any_altered_jsonl_is_prepared_or_rejected(content, settings):
    prepared(content, "hires.jsonl", **settings)


@examples(60)
@with_examples(st.binary(max_size=300), st.sampled_from(["csv", "parquet", "jsonl"]))
def test_any_bytes_at_all_are_rejected(content, kind):
    assert prepared(content, f"hires.{kind}") is None


def test_a_file_of_endless_columns_is_rejected_at_once(peak_memory):
    names = ",".join(f"c{number}" for number in range(300_000))
    content = f"ts,hires,rain,event,{names}\n2024-03-01,1,1,1{',1' * 300_000}\n".encode()
    assert peak_memory(prepared, content, "hires.csv") < 200_000_000


@pytest.mark.parametrize(
    "content",
    [
        as_csv(GOOD) + b"2024-06-01," + b"9" * 5_000_000 + b"\n",
        as_csv(GOOD) + b'"' * 5_000_001,
        as_csv(GOOD) + b"\n" * 1_000_000,
        as_csv([*GOOD, ["Quay", "2262-04-11 00:00:00", "1", "0", "0"]]),
    ],
    ids=["a long number", "quotes", "blank lines", "centuries"],
)
def test_a_file_takes_little_more_memory_than_its_size(content, peak_memory):
    assert peak_memory(prepared, content, "hires.csv") < 100_000_000


def test_rows_that_take_no_room_in_a_parquet_file_are_not_read(peak_memory):
    rows = 5_000_000
    names = ("hires", "rain", "event")
    columns = {name: arrow.array(np.zeros(rows, np.int8)) for name in names}
    columns["ts"] = arrow.array(np.zeros(rows, np.int64), arrow.timestamp("us"))
    file = io.BytesIO()
    pq.write_table(arrow.table(columns), file)
    assert len(file.getvalue()) < rows / 10
    assert peak_memory(prepared, file.getvalue(), "hires.parquet") < 10_000_000
