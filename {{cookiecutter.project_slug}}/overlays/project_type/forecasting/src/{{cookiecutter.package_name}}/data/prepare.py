"""The data stage: one source in, three blocks of time and a manifest out."""

from functools import partial

import numpy as np
import pandas as pd

from portfolio_kit import artifacts, tables
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import checks, results, table
from portfolio_kit.timegrid.calendar import check_calendar
from portfolio_kit.timegrid.frequency import YEAR, parse_freq
from portfolio_kit.timegrid.series import Series

from ..features import Shape, shape_of
from ..params import Data, Params
from . import readers, validation
from .validation import Boundaries

BLOCKS = ("train", "valid", "test")
HISTORY = "history.csv"


class Dataset(results.Dataset):
    """The manifest of `data/processed/`."""

    shape: Shape

    @property
    def boundaries(self) -> Boundaries:
        """Return when the validation and the test block begin."""
        return np.datetime64(self.starts["valid"], "s"), np.datetime64(self.starts["test"], "s")


def prepare(params: Params) -> None:
    """Fetch, validate, split by time and write `data/processed/`, the manifest last."""
    data = params.data
    check_calendar(data.freq, data.timezone, data.holidays)
    path, sha256 = tables.fetch(data.source, data.sha256, "data.source")
    rows, has_offsets = readers.read(path, data, "data.source")
    rows = rows.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    rows, outside = table.without_ends(rows)
    rows = validation.check_values(rows, data, path.name)
    is_single = data.id_column is None
    checks.check_times(rows, data.freq, data.timezone, is_single, data.time_column, path.name)
    rows = table.complete(rows, data.freq)
    checks.check_gaps(rows, data.gaps, data.target_column, path.name)
    rows, filled = table.fill(rows, params.season_lengths, data.gaps)
    starts = block_starts(rows["ds"], data, params.horizon)
    shape = shape_of(params, bool(starts[0] - rows["ds"].min().to_numpy() >= YEAR), has_offsets)
    validation.check_lengths(rows, starts, shape)

    block_of = np.searchsorted(np.array(starts), rows["ds"].to_numpy(), "right")
    blocks = {name: rows[block_of == number] for number, name in enumerate(BLOCKS)}
    for name, block in blocks.items():
        kept = block.drop(columns="line").reset_index(drop=True)
        artifacts.write_atomic(PROCESSED / f"{name}.parquet", kept.to_parquet)
    # What the service continues from. Training passes it on unread: it ends with the test set.
    latest = rows.groupby("unique_id", sort=False).tail(shape.history)
    latest = latest.drop(columns=["line", "observed"])
    artifacts.write_atomic(PROCESSED / HISTORY, partial(latest.to_csv, index=False))
    dataset = Dataset.of(
        params,
        sha256=sha256,
        rows={name: len(block) for name, block in blocks.items()},
        dropped={"before_first_or_after_last_value": outside} if outside else {},
        starts={"valid": str(starts[0]), "test": str(starts[1])},
        ends=[str(rows["ds"].min().asm8), str(rows["ds"].max().asm8)],
        series=rows["unique_id"].nunique(),
        filled=filled,
        shape=shape,
    )
    names = [*(f"{name}.parquet" for name in BLOCKS), HISTORY]
    artifacts.write_manifest(PROCESSED, names, dataset)
    counts = ", ".join(f"{count:,} {name}" for name, count in dataset.rows.items())
    print(f"{PROCESSED}: {counts}; {dataset.series} series; {filled:,} values filled")
    print(shape.inputs())
    if outside:
        print(f"note: {outside:,} rows before a series' first value or after its last; dropped")


def block_starts(moments: pd.Series, data: Data, horizon: int) -> Boundaries:
    """Return when the validation and the test block begin: the same moments for all series."""
    first, last, step = moments.min(), moments.max(), pd.Timedelta(parse_freq(data.freq))
    steps = int((last - first) / step) + 1
    test = first + step * (steps - round(steps * data.test_fraction))
    valid = test - step * round(steps * data.valid_fraction)
    for name, length in (("valid", test - valid), ("test", last - test + step)):
        if length / step < horizon:
            raise UserError(
                f"data.{name}_fraction: its block has {length / step:.0f} steps, fewer than the "
                f"horizon of {horizon}; raise it, or add data"
            )
    return tuple(moment.to_datetime64().astype("datetime64[s]") for moment in (valid, test))


def read_series(shape: Shape, *blocks: str) -> list[Series]:
    """Return what consecutive blocks of `data/processed/` hold of each series."""
    tables = [pd.read_parquet(PROCESSED / f"{name}.parquet") for name in blocks]
    rows = pd.concat(tables).sort_values(["unique_id", "ds"], kind="stable")
    return table.series_of(rows, shape)
