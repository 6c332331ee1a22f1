"""Bootstrap intervals against what statistics says of them."""

import numpy as np
import pytest

from {{cookiecutter.package_name}}.evaluation.intervals import interval_95

Z = 1.959964  # of a normal distribution, 95% lie within this many standard deviations


def half_width(interval):
    return (interval[1] - interval[0]) / 2


@pytest.mark.parametrize(("share", "rows"), [(0.5, 400), (0.8, 1000), (0.9, 2500)])
def test_of_a_share_it_is_the_binomial_one(share, rows):
    right = np.arange(rows) < share * rows
    interval = interval_95(lambda drawn: right[drawn].mean(), rows, samples=2000, seed=1)
    expected = Z * np.sqrt(share * (1 - share) / rows)
    assert np.mean(interval) == pytest.approx(share, abs=expected / 5)
    assert half_width(interval) == pytest.approx(expected, rel=0.12)


def test_of_a_mean_it_is_the_normal_one():
    values = np.random.default_rng(2).exponential(3.0, size=900)
    interval = interval_95(lambda drawn: values[drawn].mean(), 900, samples=2000, seed=1)
    expected = Z * values.std() / np.sqrt(900)
    assert np.mean(interval) == pytest.approx(values.mean(), abs=expected / 5)
    assert half_width(interval) == pytest.approx(expected, rel=0.12)


def test_of_two_models_on_the_same_rows_it_is_that_of_their_differences():
    random = np.random.default_rng(3)
    hard = random.random(800)  # how hard a row is moves both models alike
    one, other = hard + random.normal(0.1, 0.05, 800), hard + random.normal(0.0, 0.05, 800)
    interval = interval_95(
        lambda drawn: one[drawn].mean() - other[drawn].mean(), 800, samples=2000, seed=1
    )
    assert half_width(interval) == pytest.approx(Z * (one - other).std() / np.sqrt(800), rel=0.12)
    # Unpaired, the rows' own spread would hide the difference.
    unpaired = Z * np.sqrt((one.var() + other.var()) / 800)
    assert half_width(interval) < unpaired / 3


def test_of_two_equal_models_it_is_zero():
    scores = np.random.default_rng(4).random(50)
    interval = interval_95(
        lambda drawn: scores[drawn].mean() - scores[drawn].mean(), 50, samples=200, seed=1
    )
    assert interval == [0.0, 0.0]


def test_the_seed_decides():
    scores = np.random.default_rng(5).random(100)
    same, again, other = (
        interval_95(lambda drawn: scores[drawn].mean(), 100, samples=200, seed=seed)
        for seed in (1, 1, 2)
    )
    assert same == again != other
    assert all(type(limit) is float for limit in same)  # as JSON wants it
