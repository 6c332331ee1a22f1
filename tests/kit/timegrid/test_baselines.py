"""Classical forecasts, against other ways to compute them."""

import numpy as np
import pytest
from statsforecast.models import MSTL, SeasonalNaive

from portfolio_kit.timegrid.baselines import mstl, seasonal_naive


@pytest.fixture
def history():
    """Windows with a season of 8 and one of 24 steps."""
    random, steps = np.random.default_rng(1), np.arange(96)
    y = 10 + np.sin(2 * np.pi * steps / 8) + 2 * np.sin(2 * np.pi * steps / 24)
    return (y + 0.1 * random.normal(size=(3, 96))).astype(np.float32)


@pytest.mark.parametrize(("season", "horizon"), [(8, 5), (8, 8), (8, 30), (24, 12)])
def test_the_seasonal_naive_forecast_is_that_of_statsforecast(season, horizon, history):
    found = seasonal_naive(history, season, horizon)
    for window, forecast in zip(history, found, strict=True):
        expected = SeasonalNaive(season).forecast(window.astype(np.float64), horizon)["mean"]
        np.testing.assert_allclose(forecast, expected, rtol=1e-6)


def test_mstl_is_fitted_to_each_window(history):
    found = mstl(history, [24, 8, 8], horizon=12, threads=1)
    assert found.shape == (3, 12)
    for window, forecast in zip(history, found, strict=True):
        expected = MSTL([8, 24]).forecast(window.astype(np.float64), 12)["mean"]
        np.testing.assert_allclose(forecast, expected, rtol=1e-6)
