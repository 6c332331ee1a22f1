"""What a forecaster has to beat to be worth its cost."""

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from portfolio_kit.timegrid.baselines import mstl, seasonal_naive
from portfolio_kit.timegrid.origins import Origins
from portfolio_kit.timegrid.slices import ratio

from ..data.rolling import origins
from ..features import Windows
from ..params import Params
from ..predictor import Manifest
from ..training.model import Forecaster
from .held_out import Test
from .metrics import Foreknowledge
from .scores import parts

MAX_ROWS = 150_000  # that the trees are fitted on: a window gives one for each lead time
TREES = 300
BOOSTED = "gradient-boosted trees, same features"


def forecast_with_baselines(
    metric: str,
    windows: Windows,
    test: Test,
    train_end: np.datetime64,
    model: Manifest,
    params: Params,
) -> tuple[dict[str, np.ndarray], Foreknowledge | None]:
    """Return forecasts (windows, horizon) by baseline, and what foreknowledge would be worth, in
    `metric`.
    """
    shape, train = windows.shape, origins(windows, None, train_end)
    floor = 0.0 if model.nonnegative else -np.inf

    def boosted(foreknowledge: bool) -> np.ndarray:
        trees = BoostedTrees(windows, train, params, foreknowledge)
        return np.maximum(trees.forecast(test.origins), floor)

    history, seasons = windows.inputs(*test.origins).history, sorted(set(shape.season_lengths))
    rivals = {
        f"seasonal naive, {season} steps": seasonal_naive(history, season, shape.horizon)
        for season in seasons
    }
    rivals["MSTL"] = mstl(history, seasons, shape.horizon, params.train.threads)
    rivals = {name: np.maximum(y_hat, floor) for name, y_hat in rivals.items()}
    rivals[BOOSTED] = boosted(foreknowledge=False)
    if not shape.past_columns:
        return rivals, None
    past_only, perfect = (
        ratio(*parts(metric, test.y, y_hat, test.scale))
        for y_hat in (rivals[BOOSTED], boosted(foreknowledge=True))
    )
    return rivals, Foreknowledge(past_only=past_only, perfect=perfect)


class BoostedTrees:
    """scikit-learn's HistGradientBoosting on what the network sees, one row for each lead time.

    With `foreknowledge` it also knows the past covariates of the moments that are forecast, which
    nobody does: an upper bound of what better forecasts of them would give.
    """

    def __init__(
        self, windows: Windows, train: Origins, params: Params, foreknowledge: bool
    ) -> None:
        self._windows, self._foreknowledge = windows, foreknowledge
        few = windows.inputs(*train.take(np.arange(2)))
        # It only prepares features here; nothing of it is trained.
        self._look = Forecaster(windows.shape, few, params.model, 0.0, params.data.positive)
        every = max(1, len(train.at) * windows.shape.horizon // MAX_ROWS)
        some = Origins(train.which[::every], train.at[::every])
        features, usual, unit = self._features(some)
        y, observed = windows.targets(*some)
        target = self._look.normalise(torch.from_numpy(y), unit).numpy() - usual
        settings = {"loss": "absolute_error", "max_iter": TREES, "random_state": params.seed}
        self._trees = HistGradientBoostingRegressor(**settings).fit(
            features[observed], target[observed]
        )

    def forecast(self, test: Origins) -> np.ndarray:
        """Return forecasts (windows, horizon)."""
        parts = []
        for batch in test.batches():
            features, usual, unit = self._features(batch)
            change = self._trees.predict(features.reshape(-1, features.shape[-1]))
            whole = torch.from_numpy(change.reshape(usual.shape) + usual)[:, :, None]
            parts.append(self._look.denormalise(whole, unit)[:, :, 0].numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def _features(self, batch: Origins) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
        """Return features (windows, horizon, features), what is usual, and the unit."""
        inputs, horizon = self._windows.inputs(*batch), self._windows.shape.horizon
        history = torch.from_numpy(inputs.history)
        unit = self._look.unit(history)
        look = self._look.look(self._look.normalise(history, unit))
        lead = np.broadcast_to(np.arange(horizon)[None, :, None], (len(history), horizon, 1))
        parts = [*(part.numpy() for part in look[2:]), inputs.steps, lead]
        if self._foreknowledge:
            parts.append(self._windows.past_ahead(*batch))
        return np.concatenate(parts, axis=2), look.usual[:, :, 0].numpy(), unit
