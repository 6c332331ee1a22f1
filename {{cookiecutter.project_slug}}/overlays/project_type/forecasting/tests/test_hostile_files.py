"""Whatever a data file holds: three blocks of time without a fault, or a reason in plain words."""

import csv
import io
import math
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_fixtures import CRUMBS, altered, examples, prepared
from hypothesis import given as with_examples
from hypothesis import strategies as st
from type_fixtures import make_hires

from {{cookiecutter.package_name}}.artifacts import PROCESSED
from {{cookiecutter.package_name}}.data import prepare

NAMES = ["dock", "ts", "hires", "rain", "event"]
GOOD = make_hires(days=16).assign(dock="Quay")[NAMES].astype(str).to_numpy().tolist()
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
            "1677-09-21 00:12:43",  # of which nanoseconds just fail
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
    st.sampled_from(
        [
            "",
            "nan",
            "inf",
            "-Infinity",
            "1e309",
            "1e-400",
            "1,5",
            "1_0",
            "0x10",
            "1e30",
            "True",
            "½",
        ]
    ),
    st.sampled_from(["9" * 25, "-" + "9" * 400, "0." + "9" * 400]),
)
ODD = st.one_of(TIMES, NUMBERS, st.sampled_from(CRUMBS), st.text(max_size=9))
SETTINGS = st.fixed_dictionaries(
    {
        "id_column": st.sampled_from([None, "dock"]),
        "timezone": st.sampled_from([None, None, "America/New_York"]),
        "gaps": st.sampled_from(["error", "fill", "mask"]),
        "freq": st.sampled_from(["h", "h", "h", "30min", "D", "9999W"]),
        "positive": st.booleans(),
    }
)


def as_csv(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([NAMES, *rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(rows):
    file = io.BytesIO()
    table = pd.DataFrame(rows, columns=NAMES)
    table["ts"] = pd.to_datetime(table["ts"])
    table.astype({"hires": int, "rain": float, "event": int}).to_parquet(file)
    return file.getvalue()


@pytest.fixture
def prepare_file(given):
    """Run the data stage on a file's content; return what it wrote, or None if that is refused."""
    params = {name: given(b"", name) for name in ("hires.csv", "hires.parquet")}

    def prepare_file(content, name, settings=None):
        Path(name).write_bytes(content)
        data = params[name].data.model_copy(update={"freq": "h", **(settings or {})})
        manifest = prepared(prepare.run, params[name].model_copy(update={"data": data}))
        if manifest is None:
            return None
        blocks = pd.concat(pd.read_parquet(PROCESSED / f"{one}.parquet") for one in prepare.BLOCKS)
        assert len(blocks) == sum(manifest["rows"].values())
        assert not blocks.isna().any(axis=None)
        for _, series in blocks.groupby("unique_id"):
            assert series["ds"].diff().dropna().nunique() <= 1
        for column in ("y", "rain", "event"):
            assert blocks[column].map(math.isfinite).all()
        return blocks

    return prepare_file


@pytest.mark.parametrize("dock", [None, "dock"])
def test_unaltered_files_are_prepared(prepare_file, dock):
    for name, content in (("hires.csv", as_csv(GOOD)), ("hires.parquet", as_parquet(GOOD))):
        blocks = prepare_file(content, name, {"id_column": dock})
        assert len(blocks) == len(GOOD)
        check_values(blocks, GOOD, None)


def check_values(blocks, rows, timezone):
    """What was observed is in the file at that very moment, read by another library."""
    zone = ZoneInfo(timezone) if timezone else UTC
    given = set()
    for _, ts, hires, _, _ in rows:
        try:
            moment = datetime.fromisoformat(ts)
            for fold in (0, 1):
                known = moment if moment.tzinfo else moment.replace(tzinfo=zone, fold=fold)
                given.add((known.astimezone(UTC).replace(tzinfo=None), float(hires)))
        except (ValueError, OverflowError):
            continue
    observed = blocks[blocks["observed"]] if "observed" in blocks else blocks
    moments = observed["ds"].to_numpy("datetime64[us]").tolist()
    assert set(zip(moments, observed["y"], strict=True)) <= given


@examples(100)
@with_examples(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 4), ODD), max_size=4),
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 3)), max_size=2),
    SETTINGS,
)
def test_any_cells_and_rows_are_prepared_or_refused(prepare_file, cells, copies, settings):
    rows = [list(row) for row in GOOD]
    for row, column, odd in cells:
        rows[row][column] = odd
    for row, times in copies:  # none: the row is left out
        row %= len(rows)
        rows[row : row + 1] = [rows[row]] * times
    blocks = prepare_file(as_csv(rows), "hires.csv", settings)
    if blocks is not None and settings["gaps"] != "fill":
        check_values(blocks, rows, settings["timezone"])


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
def test_columns_of_any_kind_are_prepared_or_refused(prepare_file, kinds, settings):
    table = pd.read_parquet(io.BytesIO(as_parquet(GOOD)))
    for column, kind in kinds.items():
        table[column] = COLUMN_KINDS[kind](table[column])
    file = io.BytesIO()
    table.to_parquet(file)
    prepare_file(file.getvalue(), "hires.parquet", settings)


@examples(100)
@with_examples(altered(as_csv(GOOD)), SETTINGS)
def test_any_altered_csv_is_prepared_or_refused(prepare_file, content, settings):
    prepare_file(content, "hires.csv", settings)


@examples(60)
@with_examples(altered(as_parquet(GOOD)))
def test_any_altered_parquet_is_prepared_or_refused(prepare_file, content):
    prepare_file(content, "hires.parquet")


@examples(60)
@with_examples(st.binary(max_size=300), st.sampled_from(["csv", "parquet"]))
def test_any_bytes_at_all_are_refused(prepare_file, content, kind):
    assert prepare_file(content, f"hires.{kind}") is None


def test_a_file_of_columns_without_end_is_refused_at_once(prepare_file, peak_memory):
    names = ",".join(f"c{number}" for number in range(300_000))
    content = f"ts,hires,rain,event,{names}\n2024-03-01,1,1,1{',1' * 300_000}\n".encode()
    assert peak_memory(lambda: prepare_file(content, "hires.csv")) < 200_000_000


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
def test_a_file_takes_little_more_memory_than_its_size(content, prepare_file, peak_memory):
    assert peak_memory(lambda: prepare_file(content, "hires.csv")) < 100_000_000


def test_rows_that_take_no_room_in_a_parquet_file_are_not_read(prepare_file, peak_memory):
    rows = 5_000_000
    table = pa.table(
        {
            "ts": pa.array(np.zeros(rows, np.int64), pa.timestamp("us")),
            **{name: pa.array(np.zeros(rows, np.int8)) for name in ("hires", "rain", "event")},
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    assert len(file.getvalue()) < rows / 10
    assert peak_memory(lambda: prepare_file(file.getvalue(), "hires.parquet")) < 10_000_000


@pytest.mark.parametrize("season", [2**31, 2**63, 10**30])
def test_a_season_longer_than_any_is_refused(season, refusal, given):
    given(as_csv([*GOOD[:30], *GOOD[31:]]), gaps="fill")
    [line] = refusal("data", "--set", f"season_lengths=[{season}]")
    assert line.startswith("error: --set season_lengths.0: ")
