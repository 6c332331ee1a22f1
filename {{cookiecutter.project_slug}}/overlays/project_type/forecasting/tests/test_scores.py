"""Scores against another implementation, and against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from {{cookiecutter.package_name}} import features
from {{cookiecutter.package_name}}.evaluation import scores

LEVELS = list(features.LEVELS.values())


@pytest.fixture(params=range(5))
def case(request):
    """Values and quantiles of some windows, as arrays and as utilsforecast has them."""
    random = np.random.default_rng(request.param)
    y = random.gamma(2, 50, size=(6, 12))
    quantiles = np.sort(random.gamma(2, 50, size=(6, 12, 5)), axis=2)
    table = pd.DataFrame({"unique_id": np.repeat(np.arange(6), 12), "y": y.ravel()})
    table["ds"] = np.tile(np.arange(12), 6)
    for place, level in enumerate(LEVELS):
        table[f"q{level}"] = quantiles[:, :, place].ravel()
    return y, quantiles, table


def mean(found):
    return found.iloc[:, -1].mean()


def test_scores_are_those_of_utilsforecast(case):
    y, quantiles, table = case
    middle = quantiles[:, :, 2]
    columns = [f"q{level}" for level in LEVELS]
    assert scores.mape(y, middle) == pytest.approx(100 * mean(losses.mape(table, ["q0.5"])))
    by_window = losses.rmse(table, ["q0.5"])["q0.5"]
    assert scores.rmse(y, middle) == pytest.approx(np.sqrt((by_window**2).mean()))
    pinball = losses.mqloss(table, {"model": columns}, quantiles=np.array(LEVELS))
    assert scores.pinball(y, quantiles, LEVELS) == pytest.approx(pinball["model"].mean())


def test_the_scaled_error_is_that_of_utilsforecast(case):
    y, quantiles, table = case
    history = np.random.default_rng(1).gamma(2, 50, size=(6, 90))
    train = pd.DataFrame({"unique_id": np.repeat(np.arange(6), 90), "y": history.ravel()})
    scale = np.array([scores.naive_error(row, season=7) for row in history])
    expected = mean(losses.mase(table, ["q0.5"], seasonality=7, train_df=train))
    assert scores.mase(y, quantiles[:, :, 2], scale) == pytest.approx(expected)


def test_scores_by_hand():
    y, y_hat = np.array([[10.0, 20.0], [30.0, 40.0]]), np.array([[12.0, 20.0], [24.0, 44.0]])
    assert scores.wape(y, y_hat) == pytest.approx(100 * 12 / 100)
    assert scores.mae(y, y_hat) == pytest.approx(12 / 4)
    assert scores.mape(y, y_hat) == pytest.approx(100 * (0.2 + 0 + 0.2 + 0.1) / 4)
    assert scores.rmse(y, y_hat) == pytest.approx(np.sqrt((4 + 36 + 16) / 4))
    assert scores.mase(y, y_hat, np.array([2.0, 4.0])) == pytest.approx((1 + 0 + 1.5 + 1) / 4)
    assert scores.naive_error(np.array([1.0, 2.0, 4.0, 8.0]), season=2) == pytest.approx(4.5)
    quantiles = np.array([[[8.0, 12.0], [19.0, 19.5]]])
    by_hand = (0.1 * 2 + 0.1 * 2 + 0.1 * 1 + 0.9 * 0.5) / 4
    assert scores.pinball(y[:1], quantiles, [0.1, 0.9]) == pytest.approx(by_hand)


def test_a_series_that_never_changed_in_training_has_no_scaled_error():
    y, y_hat = np.array([[1.0, 2.0], [5.0, 5.0]]), np.array([[2.0, 4.0], [9.0, 9.0]])
    assert scores.mase(y, y_hat, np.array([0.5, 0.0])) == pytest.approx(3.0)


def test_values_that_were_not_observed_are_not_scored(case):
    y, quantiles, _ = case
    middle, scale = quantiles[:, :, 2], np.ones(3)
    holed = np.where(np.arange(6)[:, None] < 3, y, np.nan)
    for score in (scores.wape, scores.mae, scores.mape, scores.rmse):
        assert score(holed, middle) == pytest.approx(score(y[:3], middle[:3]))
    expected = scores.mase(y[:3], middle[:3], scale)
    assert scores.mase(holed, middle, np.ones(6)) == pytest.approx(expected)
    expected = scores.pinball(y[:3], quantiles[:3], LEVELS)
    assert scores.pinball(holed, quantiles, LEVELS) == pytest.approx(expected)
