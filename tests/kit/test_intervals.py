"""Bootstrap intervals, checked against textbook formulas."""

import numpy as np
import pytest

from portfolio_kit.intervals import interval_95, share_interval_95

Z = 1.959964  # of a normal distribution, 95% lie within this many standard deviations


def half_width(interval):
    return (interval[1] - interval[0]) / 2


@pytest.mark.parametrize(("share", "rows"), [(0.5, 400), (0.8, 1000), (0.9, 2500)])
def test_a_share_gets_the_binomial_interval(share, rows):
    right = np.arange(rows) < share * rows
    interval = interval_95(lambda drawn: right[drawn].mean(), rows, samples=2000, seed=1)
    expected = Z * np.sqrt(share * (1 - share) / rows)
    assert np.mean(interval) == pytest.approx(share, abs=expected / 5)
    assert half_width(interval) == pytest.approx(expected, rel=0.12)


def test_a_mean_gets_the_normal_interval():
    values = np.random.default_rng(2).exponential(3.0, size=900)
    interval = interval_95(lambda drawn: values[drawn].mean(), 900, samples=2000, seed=1)
    expected = Z * values.std() / np.sqrt(900)
    assert np.mean(interval) == pytest.approx(values.mean(), abs=expected / 5)
    assert half_width(interval) == pytest.approx(expected, rel=0.12)


def test_two_models_on_the_same_rows_get_the_paired_interval():
    random = np.random.default_rng(3)
    hard = random.random(800)  # a row's difficulty moves both models alike
    one, other = hard + random.normal(0.1, 0.05, 800), hard + random.normal(0.0, 0.05, 800)
    interval = interval_95(
        lambda drawn: one[drawn].mean() - other[drawn].mean(), 800, samples=2000, seed=1
    )
    assert half_width(interval) == pytest.approx(Z * (one - other).std() / np.sqrt(800), rel=0.12)
    # Unpaired, the rows' own spread would hide the difference.
    unpaired = Z * np.sqrt((one.var() + other.var()) / 800)
    assert half_width(interval) < unpaired / 3


def test_two_equal_models_get_an_interval_of_zero():
    scores = np.random.default_rng(4).random(50)
    interval = interval_95(
        lambda drawn: scores[drawn].mean() - scores[drawn].mean(), 50, samples=200, seed=1
    )
    assert interval == [0.0, 0.0]


def test_the_same_seed_gives_the_same_interval():
    scores = np.random.default_rng(5).random(100)
    same, again, other = (
        interval_95(lambda drawn: scores[drawn].mean(), 100, samples=200, seed=seed)
        for seed in (1, 1, 2)
    )
    assert same == again != other
    assert all(type(limit) is float for limit in same)  # numpy's would not be JSON


@pytest.mark.parametrize(("hits", "rows"), [(0, 20), (7, 20), (20, 20), (950, 1000)])
def test_a_share_can_have_wilson_s_interval(hits, rows):
    share = hits / rows
    middle = (share + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = Z * np.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2)) / (1 + Z**2 / rows)
    assert share_interval_95(hits, rows) == pytest.approx([middle - half, middle + half], abs=1e-6)
