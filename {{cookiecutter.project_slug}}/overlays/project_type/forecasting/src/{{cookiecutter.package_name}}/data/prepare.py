"""The data stage: one source in, three blocks of time and a manifest out."""

from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd

from .. import artifacts
from ..artifacts import PROCESSED, RAW
from ..errors import UserError
from ..features import Series, Shape, shape_of
from ..params import Data, Params
from ..timegrid import YEAR, parse_freq
from . import readers, sources, validation

BLOCKS = ("train", "valid", "test")
HISTORY = "history.csv"


def run(params: Params) -> None:
    """Fetch, validate, split by time and write `data/processed/`, the manifest last."""
    data = params.data
    validation.check_calendar(data)
    path = sources.fetch(data.source, data.sha256, RAW, "data.source")
    sha256 = artifacts.sha256(path)
    if data.sha256 is None:
        print(f"data.source is not pinned; {path} has sha256 {sha256} (delete it to fetch anew)")
    rows = readers.read(path, data, "data.source")
    rows = rows.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    rows, outside = without_ends(rows)
    rows = validation.check_values(rows, data, path.name)
    validation.check_times(rows, data, path.name)
    rows = complete(rows, data.freq)
    validation.check_gaps(rows, data, path.name)
    rows, filled = fill(rows, params.season_lengths, data.gaps)
    starts = block_starts(rows["ds"], data, params.horizon)
    shape = shape_of(params, yearly=bool(starts[0] - rows["ds"].min().to_numpy() >= YEAR))
    check_lengths(rows, starts, shape)

    blocks = np.searchsorted(np.array(starts), rows["ds"].to_numpy(), "right")
    for number, name in enumerate(BLOCKS):
        table = rows[blocks == number].drop(columns="line").reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", table.to_parquet)
    # What the service goes on from. Training hands it over unread: the test set ends it.
    latest = rows.groupby("unique_id", sort=False).tail(shape.history)
    latest = latest.drop(columns=["line", "observed"])
    artifacts.write_atomic(PROCESSED / HISTORY, partial(latest.to_csv, index=False))
    manifest = artifacts.write_manifest(
        PROCESSED,
        [*(f"{name}.parquet" for name in BLOCKS), HISTORY],
        {
            "source": data.source,
            "sha256": sha256,
            "seed": params.seed,
            "rows": {name: int((blocks == number).sum()) for number, name in enumerate(BLOCKS)},
            "starts": {"valid": str(starts[0]), "test": str(starts[1])},
            "series": int(rows["unique_id"].nunique()),
            "dropped": {"before_first_or_after_last_value": outside} if outside else {},
            "filled": filled,
            "shape": asdict(shape),
        },
    )
    rows_text = ", ".join(f"{count:,} {name}" for name, count in manifest["rows"].items())
    print(f"{PROCESSED}: {rows_text}; {manifest['series']} series; {filled:,} values filled")
    if outside:
        print(f"note: {outside:,} rows before a series' first value or after its last; left out")


def complete(rows: pd.DataFrame, freq: str) -> pd.DataFrame:
    """Return a row for each moment between a series' first and last; new ones have no y, line 0."""
    step = pd.Timedelta(parse_freq(freq))
    series = rows.groupby("unique_id", sort=False)["ds"]
    jumps = series.diff() > step
    holed = rows["unique_id"].isin(rows["unique_id"][jumps].unique())
    if not holed.any():
        return rows
    whole = [rows[~holed]]
    for name, own in rows[holed].groupby("unique_id", sort=False):
        grid = pd.date_range(own["ds"].iloc[0], own["ds"].iloc[-1], freq=step, unit="s", name="ds")
        own = own.set_index("ds").reindex(grid).reset_index()
        whole.append(own.assign(unique_id=name, line=own["line"].fillna(0))[rows.columns])
    return pd.concat(whole).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)


def without_ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Leave out rows before a series' first value and after its last; count them.

    Of the steps ahead, covariates may be known already. A series without any value stays.
    """
    known = rows["y"].notna()
    if known.all():
        return rows, 0
    known |= ~known.groupby(rows["unique_id"], sort=False).transform("any")
    begun = known.groupby(rows["unique_id"], sort=False).cummax()
    goes_on = known[::-1].groupby(rows["unique_id"], sort=False).cummax()[::-1]
    within = begun & goes_on
    return rows[within].reset_index(drop=True), int((~within).sum())


def fill(rows: pd.DataFrame, season_lengths: list[int], gaps: str) -> tuple[pd.DataFrame, int]:
    """Fill missing values from one season before, else from the value before; count them.

    The column `observed` says which values are learnt and scored: those that were there, and if
    `gaps` is fill the others as well.
    """
    missing = rows["y"].isna()
    if not missing.any():
        return rows.assign(observed=True), 0
    y = rows["y"]
    for season in sorted(season_lengths, reverse=True):
        y = y.fillna(y.groupby(rows["unique_id"], sort=False).shift(season))
    y = y.groupby(rows["unique_id"], sort=False).ffill()
    covariates = list(rows.columns.difference(["unique_id", "ds", "y", "line"], sort=False))
    held = rows.groupby("unique_id", sort=False)[covariates].ffill() if covariates else {}
    return rows.assign(y=y, **held, observed=~missing | (gaps == "fill")), int(missing.sum())


def block_starts(
    moments: pd.Series, data: Data, horizon: int
) -> tuple[np.datetime64, np.datetime64]:
    """Return when the validation and the test block begin: the same moments for all series."""
    first, last, step = moments.min(), moments.max(), pd.Timedelta(parse_freq(data.freq))
    steps = int((last - first) / step) + 1
    test = first + step * (steps - round(steps * data.test_fraction))
    valid = test - step * round(steps * data.valid_fraction)
    for name, length in (("valid", test - valid), ("test", last - test + step)):
        if length / step < horizon:
            raise UserError(
                f"data.{name}_fraction: its block has {length / step:.0f} steps, fewer than the "
                f"horizon of {horizon}; raise it, or give more data"
            )
    return tuple(moment.to_datetime64().astype("datetime64[s]") for moment in (valid, test))


def check_lengths(
    rows: pd.DataFrame, starts: tuple[np.datetime64, np.datetime64], shape: Shape
) -> None:
    """Raise `UserError` for series that are too short to train on or do not reach into the test."""
    before = (rows["ds"] < starts[0]).groupby(rows["unique_id"], sort=False).sum()
    needed = shape.history + shape.horizon
    short = before[before < needed]
    if len(short):
        shown = ", ".join(f"{name!r:.40} ({count})" for name, count in short.head(3).items())
        raise UserError(
            f"model.seasons: {len(short)} series ({shown}{', ...' * (len(short) > 3)}) "
            f"have fewer than {needed} steps before the validation block, which one window takes; "
            "lower it, or leave these series out"
        )
    last = rows.groupby("unique_id", sort=False)["ds"].max()
    ended = last[last < starts[1] + (shape.horizon - 1) * parse_freq(shape.freq)]
    if len(ended):
        shown = ", ".join(f"{name!r:.40} (ends {end})" for name, end in ended.head(3).items())
        raise UserError(
            f"data.test_fraction: {len(ended)} series ({shown}{', ...' * (len(ended) > 3)}) end "
            "before the test block has one horizon of them; leave them out"
        )


def read_series(shape: Shape, *blocks: str) -> list[Series]:
    """Return what blocks of `data/processed/`, which follow each other, hold of each series."""
    tables = [pd.read_parquet(PROCESSED / f"{name}.parquet") for name in blocks]
    table = pd.concat(tables).sort_values(["unique_id", "ds"], kind="stable")
    return [
        Series(
            name=str(name),
            start=rows["ds"].to_numpy("datetime64[s]")[0],
            y=rows["y"].to_numpy(np.float64),
            past=rows[shape.past_columns].to_numpy(np.float32),
            future=rows[shape.future_columns].to_numpy(np.float32),
            observed=rows["observed"].to_numpy(bool),
        )
        for name, rows in table.groupby("unique_id", sort=False)
    ]
