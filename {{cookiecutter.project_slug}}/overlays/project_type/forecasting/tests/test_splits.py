"""Train, valid and test are blocks of time: no window crosses, and runs are repeatable."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from portfolio_kit import artifacts

from {{cookiecutter.package_name}}.data.prepare import BLOCKS, HISTORY, Dataset, read_series
from {{cookiecutter.package_name}}.data.rolling import origins
from {{cookiecutter.package_name}}.features import Windows
from {{cookiecutter.package_name}}.project import PROJECT

DOCKS = ("Quay", "Ärmel, 7")


@pytest.fixture
def split(run, configure):
    """Run `data`, on the hires unless something else is given, and return what it wrote."""
    configure()

    def split(*arguments):
        outcome = run("data", *arguments)
        assert outcome.code == 0, outcome.err
        return {name: pd.read_parquet(artifacts.PROCESSED / f"{name}.parquet") for name in BLOCKS}

    return split


@pytest.fixture
def docks(hires):
    """The hires of two docks; the second begins ten days later and ends a day earlier."""
    second = hires.assign(dock=DOCKS[1], hires=hires["hires"] * 3).iloc[240:-24]
    return pd.concat([hires.assign(dock=DOCKS[0]), second])


def manifest():
    return artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")


def written():
    return {path.name: path.read_bytes() for path in sorted(artifacts.PROCESSED.iterdir())}


def shape():
    return manifest().shape


@pytest.mark.parametrize(("days", "yearly"), [(521, False), (522, True)])
def test_the_time_of_year_is_a_feature_if_training_has_a_year_of_it(
    split, given, hires, days, yearly
):
    moments = pd.date_range("2023-03-01", periods=24 * days, freq="h")  # training gets 70%
    longer = pd.concat([hires] * 9, ignore_index=True)[: len(moments)].assign(ts=moments)
    given(longer)
    split()
    assert shape().yearly is yearly


def test_blocks_follow_each_other_and_hold_each_row_once(split, hires):
    together = pd.concat(split().values())
    assert together["ds"].tolist() == hires["ts"].tolist()
    for name, column in (("y", "hires"), ("rain", "rain"), ("event", "event")):
        assert together[name].tolist() == hires[column].tolist()
    assert together["observed"].all()


def test_blocks_have_the_sizes_asked_for(split):
    sizes = {name: len(block) for name, block in split().items()}
    assert sizes == {"train": 1008, "valid": 144, "test": 288}
    parts = split("--set", "data.test_fraction=0.25", "--set", "data.valid_fraction=0.05")
    assert {name: len(block) for name, block in parts.items()} == {
        "train": 1008,
        "valid": 72,
        "test": 360,
    }


def test_blocks_begin_at_the_same_moment_in_all_series(given, split, docks):
    given(docks, id_column="dock")
    parts = split()
    starts = manifest().starts
    for name in ("valid", "test"):
        first = parts[name].groupby("unique_id")["ds"].min()
        assert first.to_dict() == dict.fromkeys(DOCKS, pd.Timestamp(starts[name]))
    sizes = parts["test"].groupby("unique_id").size()
    assert sizes.to_dict() == {DOCKS[0]: 288, DOCKS[1]: 264}


def test_no_window_reaches_into_the_next_block(given, split, docks):
    given(docks, id_column="dock")
    split()
    starts = manifest().boundaries
    windows = Windows(read_series(shape(), *BLOCKS), shape())
    hour = np.timedelta64(1, "h")
    limits = [None, *starts, None]
    for first, end in itertools.pairwise(limits):
        which, at = origins(windows, first, end)
        begin = np.array([one.start for one in windows.series])[which]
        ends = np.array([one.start + hour * len(one.y) for one in windows.series])[which]
        assert set(which) == {0, 1}
        assert (at >= windows.shape.history).all()
        assert first is None or (begin + hour * at).min() == first
        last = ends if end is None else end
        assert (begin + hour * (at + windows.shape.horizon) <= last).all()
        # None is missing: the next window would reach beyond the end.
        assert (begin + hour * (at + windows.shape.horizon) == last).sum() == 2


def test_series_are_read_back_as_they_were(given, split, docks):
    given(docks, id_column="dock")
    split()
    one, other = read_series(shape(), *BLOCKS)
    assert (one.name, other.name) == DOCKS
    for series, name in zip((one, other), DOCKS, strict=True):
        rows = docks[docks["dock"] == name]
        assert series.start == rows["ts"].iloc[0]
        assert series.y.tolist() == rows["hires"].tolist()
        assert series.past[:, 0].tolist() == rows["rain"].astype("float32").tolist()
        assert series.future[:, 0].tolist() == rows["event"].tolist()
    [early, _] = read_series(shape(), "train")
    assert len(early.y) == 1008


def test_the_history_is_the_end_of_each_series(given, split, docks):
    given(docks, id_column="dock")
    split()
    history = pd.read_csv(artifacts.PROCESSED / HISTORY, parse_dates=["ds"])
    assert list(history) == ["unique_id", "ds", "y", "event", "rain"]
    assert history["unique_id"].unique().tolist() == list(DOCKS)
    for name, rows in history.groupby("unique_id"):
        expected = docks[docks["dock"] == name].tail(shape().history)
        assert rows["ds"].tolist() == expected["ts"].tolist()
        assert rows["y"].tolist() == expected["hires"].tolist()
        assert rows["rain"].tolist() == expected["rain"].tolist()


def test_the_manifest_records_what_was_split_and_how(given, split, docks):
    given(docks, id_column="dock")
    parts = split()
    data = manifest()
    assert data.source == "hires.csv"
    assert data.sha256 == hashlib.sha256(Path("hires.csv").read_bytes()).hexdigest()
    assert data.seed == 13
    assert data.rows == {name: len(block) for name, block in parts.items()}
    assert data.series == 2
    assert data.filled == 0
    assert data.dropped == {}


def test_the_same_command_in_another_folder_gives_the_same_bytes(given, split, docks, monkeypatch):
    given(docks, id_column="dock")
    split()
    here = written()
    assert set(here) == {HISTORY, "manifest.json", *(f"{name}.parquet" for name in BLOCKS)}

    # A separate process, with another order of hashes, in another folder.
    folder = Path("elsewhere")
    folder.mkdir()
    for name in ("params.yaml", "hires.csv"):
        (folder / name).write_bytes(Path(name).read_bytes())
    command = [sys.executable, "-m", PROJECT.package, "data"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    monkeypatch.chdir(folder)
    assert written() == here


@pytest.mark.parametrize("gaps", ["error", "fill", "mask"])
def test_the_order_of_rows_makes_no_difference(gaps, given, split, docks):
    if gaps != "error":
        docks = docks.drop(index=docks.index[300:310])
    found = []
    for rows in (docks, docks.sample(frac=1, random_state=1), docks[::-1]):
        given(rows, id_column="dock", gaps=gaps)
        split()
        found.append(written())
        del found[-1]["manifest.json"]  # which has the hash of the source
    assert found[0] == found[1] == found[2]


def test_csv_and_parquet_give_the_same_split(given, split, docks):
    found = []
    for name in ("hires.csv", "hires.parquet"):
        given(docks, name, id_column="dock")
        split()
        found.append(written())
        del found[-1]["manifest.json"]
    assert found[0] == found[1]


@pytest.mark.parametrize("as_rows", [True, False], ids=["rows without values", "no rows"])
def test_gaps_are_filled_from_one_season_before(as_rows, given, split, hires):
    hole = slice(400, 460)  # longer than the longest season, of 48
    y = hires["hires"].astype(float)
    holed = hires.assign(hires=y.where(~hires.index.isin(range(400, 460))))
    given(holed if as_rows else holed.dropna(), gaps="fill")
    train = split()["train"]
    expected = y.to_numpy(copy=True)
    expected[400:448] = y[352:400]
    assert train["y"][:448].tolist() == expected[:448].tolist()
    assert train["y"][448:460].tolist() == expected[424:436].tolist()  # a day before, filled itself
    assert train["y"][460:].tolist() == y[460:1008].tolist()
    assert train["event"].notna().all()
    assert train["rain"].notna().all()
    assert len(train["y"][hole]) == manifest().filled == 60


def test_filled_values_are_learned_from_and_scored_and_masked_ones_are_not(given, split, hires):
    holed = hires.drop(index=range(400, 460))
    given(holed, gaps="fill")
    filled = split()["train"]
    given(holed, gaps="mask")
    masked = split()["train"]
    assert filled["observed"].all()
    assert masked.index[~masked["observed"]].tolist() == list(range(400, 460))
    assert filled["y"].tolist() == masked["y"].tolist()


def test_rows_after_the_last_value_may_hold_what_is_known_in_advance(given, split, run, docks):
    docks = docks.reset_index(drop=True).astype({"hires": float, "rain": float})
    ends = docks.groupby("dock").tail(24).index
    docks.loc[ends, ["hires", "rain"]] = np.nan
    given(docks, id_column="dock", gaps="error")
    said = "note: 48 rows before a series' first value or after its last; dropped"
    assert said in run("data").out
    together = pd.concat(split().values())
    assert sorted(together["y"]) == sorted(docks["hires"].dropna())
    assert manifest().dropped == {"before_first_or_after_last_value": 48}


def test_a_year_of_local_time_has_neither_gap_nor_duplicate(given, split):
    utc = pd.date_range("2023-01-01", "2023-12-31 23:00", freq="h", tz="UTC")
    local = utc.tz_convert("America/New_York").tz_localize(None)
    table = pd.DataFrame({"ts": local, "hires": range(len(utc)), "rain": 0.0, "event": 0})
    given(table, timezone="America/New_York")
    together = pd.concat(split().values())
    assert together["y"].tolist() == table["hires"].tolist()
    assert together["ds"].tolist() == utc.tz_localize(None).tolist()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("gaps", ["error", "mask"])
def test_good_data_gives_no_warnings(gaps, given, split, docks):
    rows = docks if gaps == "error" else docks.drop(index=range(400, 460))
    given(rows, id_column="dock", gaps=gaps)
    split()


def test_a_file_that_is_not_pinned_is_reported_with_its_hash(run, configure):
    source = Path(configure().data.source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() in run("data").out


def test_a_rejected_file_leaves_the_last_split_as_it_was(split, rejection):
    split()
    before = written()
    rejection("data", "--set", "data.target_column=hire")
    assert written() == before
