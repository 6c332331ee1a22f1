"""Intervals that cover as much as they promise."""

import numpy as np
import pytest
from scipy import stats

from portfolio_kit.timegrid.conformal import fit_widths

NORMAL = stats.norm.ppf([0.025, 0.1, 0.5, 0.9, 0.975])


def widened(quantiles, widths):
    """Return intervals (…, 2) of 80% and of 95%."""
    middle = quantiles[..., 2:3]
    inner, outer = (middle + width * (quantiles - middle) for width in widths)
    return inner[..., [1, 3]], outer[..., [0, 4]]


def share_inside(y, interval):
    return ((y >= interval[..., 0]) & (y <= interval[..., 1])).mean()


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0], ids=["too narrow", "right", "too wide"])
def test_new_values_are_covered_as_promised(factor):
    random = np.random.default_rng(2)
    spread = np.exp(random.normal(size=(3000, 4)))  # known to the model, up to the factor
    old, new = spread * random.normal(size=(2, 3000, 4))
    quantiles = factor * spread[:, :, None] * NORMAL
    widths = fit_widths(old, np.ones_like(old, bool), quantiles)
    assert widths == pytest.approx([1 / factor, 1 / factor], rel=0.03)
    for level, interval in zip((0.8, 0.95), widened(quantiles, widths), strict=True):
        assert share_inside(new, interval) == pytest.approx(level, abs=0.01)
        wide = spread > np.median(spread)  # wide and narrow intervals alike
        assert share_inside(new[wide], interval[wide]) == pytest.approx(level, abs=0.015)


def test_the_width_is_the_smallest_that_covers_enough():
    random = np.random.default_rng(4)
    y, quantiles = random.normal(size=(9, 11)), np.broadcast_to([-4.0, -1, 0, 2, 5], (9, 11, 5))
    # Of 99 values, the 80th and the 95th: ceil(100 * level).
    inner = np.sort(np.where(y < 0, -y, y / 2), axis=None)[79]
    outer = np.sort(np.where(y < 0, -y / 4, y / 5), axis=None)[94]
    assert fit_widths(y, np.ones_like(y, bool), quantiles) == pytest.approx([inner, outer])


def test_values_that_were_filled_in_do_not_count():
    random = np.random.default_rng(6)
    y, quantiles = random.normal(size=(50, 4)), np.broadcast_to(NORMAL, (50, 4, 5))
    observed = random.random((50, 4)) < 0.5
    spoilt = np.where(observed, y, 1e6)
    kept = y[observed][:, None], np.ones((observed.sum(), 1), bool), quantiles[observed][:, None]
    assert fit_widths(spoilt, observed, quantiles) == pytest.approx(fit_widths(*kept))


def test_without_a_value_nothing_changes():
    nothing = np.zeros((3, 4), bool)
    assert fit_widths(np.ones((3, 4)), nothing, np.zeros((3, 4, 5))) == [1.0, 1.0]


def test_level_and_unit_do_not_matter():
    random = np.random.default_rng(8)
    y, quantiles = random.normal(size=(50, 4)), np.broadcast_to(NORMAL, (50, 4, 5))
    observed = np.ones_like(y, bool)
    expected = fit_widths(y, observed, quantiles)
    assert fit_widths(1e3 * y - 7, observed, 1e3 * quantiles - 7) == pytest.approx(expected)
