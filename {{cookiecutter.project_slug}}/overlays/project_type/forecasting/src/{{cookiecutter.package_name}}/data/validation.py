"""The checks at the boundary: rows that pass are series on a regular grid of time."""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import checks

from ..features import Shape
from ..params import Data

Boundaries = tuple[np.datetime64, np.datetime64]  # of the blocks
FINITE = pa.Check(lambda values: ~np.isinf(values), error="infinite")
POSITIVE = pa.Check(lambda values: ~(values <= 0), error="not above zero (data.positive)")


def check_values(rows: pd.DataFrame, data: Data, file: str) -> pd.DataFrame:
    """Return rows with numbers as float64; raises `UserError` for values that are not usable.

    A missing target is a gap (`data.gaps`); a missing covariate is not allowed.
    """
    fields = {"y": f"data.target_column {data.target_column!r} of {file}"}
    fields |= {name: f"data.future_columns {name!r} of {file}" for name in data.future_columns}
    fields |= {name: f"data.past_columns {name!r} of {file}" for name in data.past_columns}
    columns = {name: pa.Column(checks=[FINITE], nullable=False) for name in fields}
    of_target = [FINITE, POSITIVE] if data.positive else [FINITE]
    columns["y"] = pa.Column(checks=of_target, nullable=True)
    return checks.check_values(rows, pa.DataFrameSchema(columns), fields)


def check_lengths(rows: pd.DataFrame, starts: Boundaries, shape: Shape) -> None:
    """Raise `UserError` for series that are too short to train on or end before the test block.

    `starts` is when the validation and the test block begin.
    """
    before = (rows["ds"] < starts[0]).groupby(rows["unique_id"], sort=False).sum()
    needed = shape.history + shape.horizon
    short = before[before < needed]
    if len(short):
        raise UserError(
            f"model.seasons: {_shown(short, '')} have fewer than {needed} steps before the "
            "validation block, the length of one window; lower it, or remove these series"
        )
    last = rows.groupby("unique_id", sort=False)["ds"].max()
    ended = last[last < starts[1] + (shape.horizon - 1) * shape.step]
    if len(ended):
        raise UserError(
            f"data.test_fraction: {_shown(ended, 'ends ')} end before the test block has one "
            "horizon of them; remove them"
        )


def _shown(series: pd.Series, what: str) -> str:
    first = ", ".join(f"{name!r:.40} ({what}{value})" for name, value in series.head(3).items())
    return f"{len(series)} series ({first}{', ...' * (len(series) > 3)})"
