"""Reads a data file into the columns unique_id, ds, y, covariates and line."""

from pathlib import Path

import pandas as pd

from portfolio_kit.timegrid import files
from portfolio_kit.timegrid.times import moments

from ..params import Data


def read(path: Path, data: Data, source: str) -> pd.DataFrame:
    """Return one row per record, in the order of the file, with the line (or row) where it is.

    `ds` is datetime64[s], UTC where the file or `data.timezone` says which zone it is in. Raises
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
    return rows.assign(ds=moments(rows, data.timezone, field))
