"""Intervals that cover as much as they promise."""

import numpy as np
import pytest
from scipy import stats

from {{cookiecutter.package_name}}.features import LEVELS
from {{cookiecutter.package_name}}.training.calibration import fit_margins


def inside(y, quantiles, level):
    low, high = {80: (1, 3), 95: (0, 4)}[level]
    return ((y >= quantiles[:, :, low]) & (y <= quantiles[:, :, high])).mean()


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0], ids=["too narrow", "right", "too wide"])
def test_new_values_are_covered_as_promised(factor):
    random = np.random.default_rng(2)
    old, new = random.normal(size=(2, 3000, 4))
    normal = stats.norm.ppf(list(LEVELS.values()))
    quantiles = np.broadcast_to(factor * normal, (3000, 4, 5))
    moved = quantiles + fit_margins(old, np.ones_like(old, bool), quantiles)
    assert inside(new, moved, 80) == pytest.approx(0.80, abs=0.01)
    assert inside(new, moved, 95) == pytest.approx(0.95, abs=0.01)
    assert (moved[:, :, 2] == quantiles[:, :, 2]).all()


def test_the_margin_is_the_smallest_that_covers_enough():
    random = np.random.default_rng(4)
    y, quantiles = random.normal(size=(9, 11)), np.zeros((9, 11, 5))
    margins = fit_margins(y, np.ones_like(y, bool), quantiles)
    # Of 99 values, the 80th and the 95th: ceil(100 * level).
    distances = np.sort(np.abs(y), axis=None)
    outer, inner = distances[94], distances[79]
    assert margins == pytest.approx([-outer, -inner, 0, inner, outer])


def test_values_that_were_filled_in_do_not_count():
    random = np.random.default_rng(6)
    y, quantiles = random.normal(size=(50, 4)), np.zeros((50, 4, 5))
    observed = random.random((50, 4)) < 0.5
    spoilt = np.where(observed, y, 1e6)
    kept = y[observed][:, None], np.ones((observed.sum(), 1), bool), quantiles[observed][:, None]
    assert fit_margins(spoilt, observed, quantiles) == pytest.approx(fit_margins(*kept))
