"""Reads a data file into the columns unique_id, ds, y, covariates and line."""

from pathlib import Path

import pandas as pd

from portfolio_kit.timegrid import files
from portfolio_kit.timegrid.times import moments

from ..params import Data


def read(path: Path, data: Data, source: str) -> tuple[pd.DataFrame, bool]:
    """Return one row per record, in the order of the file, with the line (or row) where it is.

    `ds` is as `moments` returns it, and so is the second value: whether times have offsets. Raises
    `UserError`, which names the parameter `source`, for a file that is empty or cannot be parsed,
    and for missing columns and unreadable times.
    """
    covariates = {
        "data.future_columns": data.future_columns,
        "data.past_columns": data.past_columns,
    }
    rows = files.read(
        path, source, data.time_column, data.target_column, data.id_column, covariates
    )
    field = f"data.time_column {data.time_column!r} of {path.name}"
    ds, has_offsets = moments(rows, data.freq, data.timezone, field)
    return rows.assign(ds=ds), has_offsets
