"""Series in a table with the columns unique_id, ds, y, covariates and line: gaps and ends."""

import numpy as np
import pandas as pd

from .frequency import parse_freq
from .grid import Grid
from .series import Series


def without_ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Drop rows before a series' first value and after its last; also return how many.

    Such rows may hold covariates that are known in advance. A series without any value stays.
    """
    known = rows["y"].notna()
    if known.all():
        return rows, 0
    known |= ~known.groupby(rows["unique_id"], sort=False).transform("any")
    has_begun = known.groupby(rows["unique_id"], sort=False).cummax()
    continues = known[::-1].groupby(rows["unique_id"], sort=False).cummax()[::-1]
    within = has_begun & continues
    return rows[within].reset_index(drop=True), int((~within).sum())


def complete(rows: pd.DataFrame, freq: str) -> pd.DataFrame:
    """Return a row for each moment between a series' first and last; new ones have no y, line 0."""
    step = pd.Timedelta(parse_freq(freq))
    jumps = rows.groupby("unique_id", sort=False)["ds"].diff() > step
    has_holes = rows["unique_id"].isin(rows["unique_id"][jumps].unique())
    if not has_holes.any():
        return rows
    whole = [rows[~has_holes]]
    for name, own in rows[has_holes].groupby("unique_id", sort=False):
        grid = pd.date_range(own["ds"].iloc[0], own["ds"].iloc[-1], freq=step, unit="s", name="ds")
        own = own.set_index("ds").reindex(grid).reset_index()
        whole.append(own.assign(unique_id=name, line=own["line"].fillna(0))[rows.columns])
    return pd.concat(whole).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)


def fill(rows: pd.DataFrame, season_lengths: list[int], gaps: str) -> tuple[pd.DataFrame, int]:
    """Fill missing values from one season before, else from the value before; count them.

    The column `observed` says which values are learned from and scored: the original ones, and the
    others too if `gaps` is fill.
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


def series_of(rows: pd.DataFrame, grid: Grid) -> list[Series]:
    """Return the series of complete rows that are sorted by unique_id and ds."""
    return [
        Series(
            name=str(name),
            start=own["ds"].to_numpy("datetime64[s]")[0],
            y=own["y"].to_numpy(np.float64),
            past=own[grid.past_columns].to_numpy(np.float32),
            future=own[grid.future_columns].to_numpy(np.float32),
            observed=own["observed"].to_numpy(bool),
        )
        for name, own in rows.groupby("unique_id", sort=False)
    ]
