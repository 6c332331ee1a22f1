"""Forecasts of classical methods, given histories (windows, steps)."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import MSTL

from .. import cores


def seasonal_naive(history: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Return forecasts (windows, horizon) that repeat the last season."""
    last = history[:, -season:]
    repeated = np.tile(last, math.ceil(horizon / season))[:, :horizon]
    return repeated.astype(np.float64)


def mstl(
    history: np.ndarray, seasons: Iterable[int], horizon: int, threads: int | None
) -> np.ndarray:
    """Return forecasts (windows, horizon) of MSTL (Bandara et al. 2021) with AutoETS for the trend.

    It is refitted to each window.
    """
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(len(history)), history.shape[1]),
            "ds": np.tile(np.arange(history.shape[1]), len(history)),
            "y": history.ravel().astype(np.float64),
        }
    )
    method = MSTL(season_length=sorted(set(seasons)))
    fitted = StatsForecast(models=[method], freq=1, n_jobs=cores.threads(threads))
    return fitted.forecast(df=table, h=horizon)["MSTL"].to_numpy().reshape(len(history), -1)
