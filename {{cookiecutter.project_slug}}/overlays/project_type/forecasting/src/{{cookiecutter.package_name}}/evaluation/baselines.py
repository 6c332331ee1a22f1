"""What a forecaster has to beat to be worth its cost."""

import math

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from statsforecast import StatsForecast
from statsforecast.models import MSTL

from .. import cores
from ..features import Windows
from ..params import Params
from ..training.model import Forecaster
from .rolling import Origins, batches

MAX_ROWS = 150_000  # that the trees are fitted on: a window gives one for each lead time
TREES = 300
BOOSTED = "gradient-boosted trees, same features"


def seasonal_naive(windows: Windows, test: Origins) -> dict[str, np.ndarray]:
    """Return, for each season, forecasts (windows, horizon) that repeat the last one."""
    history, shape = windows.inputs(*test).history, windows.shape
    forecasts = {}
    for season in sorted(set(shape.season_lengths)):
        last = history[:, -season:]
        repeated = np.tile(last, math.ceil(shape.horizon / season))[:, : shape.horizon]
        forecasts[f"seasonal naive, {season} steps"] = repeated.astype(np.float64)
    return forecasts


def mstl(windows: Windows, test: Origins, threads: int | None) -> np.ndarray:
    """Return forecasts (windows, horizon) of MSTL (Bandara et al. 2021) with AutoETS for the trend.

    It is fitted anew to the history of each window, which is as long as what the model sees.
    """
    history = windows.inputs(*test).history.astype(np.float64)
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(len(history)), history.shape[1]),
            "ds": np.tile(np.arange(history.shape[1]), len(history)),
            "y": history.ravel(),
        }
    )
    method = MSTL(season_length=sorted(set(windows.shape.season_lengths)))
    fitted = StatsForecast(models=[method], freq=1, n_jobs=cores.threads(threads))
    found = fitted.forecast(df=table, h=windows.shape.horizon)
    return found["MSTL"].to_numpy().reshape(len(history), -1)


class BoostedTrees:
    """scikit-learn's HistGradientBoosting on what the network sees, one row for each lead time.

    With `foreknowledge` it knows the past covariates of the moments that are forecast as well,
    which nobody does: an upper bound of what better forecasts of them would give.
    """

    def __init__(
        self, windows: Windows, train: Origins, params: Params, foreknowledge: bool = False
    ) -> None:
        self._windows, self._foreknowledge = windows, foreknowledge
        few = windows.inputs(train[0][:2], train[1][:2])
        # Only what it looks at is asked of it, not what it would have to learn.
        self._look = Forecaster(windows.shape, few, params.model, 0.0, params.data.positive)
        share = max(1, len(train[0]) * windows.shape.horizon // MAX_ROWS)
        some = (train[0][::share], train[1][::share])
        features, usual, scale = self._features(some)
        y, observed = windows.targets(*some)
        target = self._look.normalise(torch.from_numpy(y), scale).numpy() - usual
        settings = {"loss": "absolute_error", "max_iter": TREES, "random_state": params.seed}
        self._trees = HistGradientBoostingRegressor(**settings).fit(
            features[observed], target[observed]
        )

    def forecast(self, test: Origins) -> np.ndarray:
        """Return forecasts (windows, horizon)."""
        parts = []
        for batch in batches(test):
            features, usual, scale = self._features(batch)
            change = self._trees.predict(features.reshape(-1, features.shape[-1]))
            whole = torch.from_numpy(change.reshape(usual.shape) + usual)[:, :, None]
            parts.append(self._look.denormalise(whole, scale)[:, :, 0].numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def _features(self, batch: Origins) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
        """Return features (windows, horizon, features), what is usual, and the scale."""
        inputs = self._windows.inputs(*batch)
        history = torch.from_numpy(inputs.history)
        scale = self._look.scale(history)
        looks = self._look.look(self._look.normalise(history, scale))
        horizon = self._windows.shape.horizon
        parts = [
            *(part.numpy() for part in looks),
            inputs.steps,
            np.broadcast_to(np.arange(horizon)[None, :, None], (len(history), horizon, 1)),
        ]
        if self._foreknowledge:
            parts.append(self._windows.past_ahead(*batch))
        return np.concatenate(parts, axis=2), looks[0][:, :, 0].numpy(), scale
