"""Intervals that cover as much as they promise."""

import numpy as np
import pytest
import torch
from scipy import stats

from portfolio_kit.timegrid.conformal import fit_widths, volatility

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


def history(noise):
    """Return a window of four seasons of 8 steps, each of two of 4, with noise in the last one."""
    steps = np.arange(32)
    y = np.sin(2 * np.pi * steps / 8) + 0.5 * np.sin(2 * np.pi * steps / 4)
    y[-8:] += noise * np.random.default_rng(1).normal(size=8)
    return torch.from_numpy(y)[None]


def test_restless_windows_are_volatile():
    found = [float(volatility(history(noise), 4, 8)) for noise in (0.0, 0.5, 1.0, 4.0)]
    assert found == sorted(found)
    many = torch.cat([history(noise) for noise in (0.0, 0.5, 1.0, 4.0)])
    assert volatility(many, 4, 8)[:, 0].tolist() == pytest.approx(found)
    one = torch.zeros(1, 16)
    one[0, -1] = 3.0  # strays by 3 in one of eight steps of the season, and of the last two halves
    expected = ((9 / 8 - (3 / 8) ** 2) + (3 / 8) ** 2) ** (1 / 8)
    assert float(volatility(one, 4, 8)) == pytest.approx(expected)


@pytest.mark.parametrize("shift", [0.0, 7.0])
def test_a_constant_window_is_calm_but_not_certain(shift):
    assert float(volatility(torch.full((1, 16), shift), 4, 8)) == pytest.approx(0.01**0.25)


def test_what_is_known_of_a_history_beyond_whole_seasons_does_not_count():
    whole = history(1.0)
    longer = torch.cat([torch.full((1, 3), 99.0, dtype=whole.dtype), whole], dim=1)
    assert torch.equal(volatility(longer, 4, 8), volatility(whole, 4, 8))
