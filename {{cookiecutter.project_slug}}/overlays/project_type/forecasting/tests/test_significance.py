"""Intervals and tests for errors that follow each other in time."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from {{cookiecutter.package_name}}.evaluation import significance


def autoregressive(random, length, memory=0.8):
    noise = random.normal(size=length + 50)
    for step in range(1, len(noise)):
        noise[step] += memory * noise[step - 1]
    return noise[50:]


def test_blocks_hold_what_follows_each_other_and_every_moment_is_as_likely():
    drawn = significance.draw_blocks(moments=50, block=10, samples=4000, seed=1)
    assert drawn.shape == (4000, 50)
    follows = (drawn[:, 1:] - drawn[:, :-1]) % 50 == 1
    inside_blocks = np.arange(1, 50) % 10 > 0
    assert follows[:, inside_blocks].all()
    assert not follows[:, ~inside_blocks].all()
    shares = np.bincount(drawn.ravel(), minlength=50) / drawn.size
    assert shares == pytest.approx(1 / 50, rel=0.1)


def test_a_block_longer_than_the_test_is_all_of_it():
    drawn = significance.draw_blocks(moments=5, block=100, samples=20, seed=1)
    assert (np.sort(drawn, axis=1) == np.arange(5)).all()


def test_the_interval_covers_the_mean_of_a_series_with_memory():
    """Drawn one by one, moments would seem to say more than they do: too narrow an interval."""
    random = np.random.default_rng(3)
    covered = {1: 0, 25: 0}
    for _ in range(150):
        series = autoregressive(random, 400)
        for block in covered:
            drawn = significance.draw_blocks(400, block, samples=200, seed=1)
            low, high = significance.interval_95(lambda rows, s=series: s[rows].mean(), drawn)
            covered[block] += low <= 0 <= high
    assert covered[25] / 150 > 0.85
    assert covered[1] / 150 < 0.65


def test_without_overlap_the_test_is_the_paired_t_test():
    random = np.random.default_rng(5)
    ours, theirs = random.gamma(2, size=40), random.gamma(2.5, size=40)
    difference = theirs - ours
    # The variance by n instead of n - 1, and the correction for small samples, cancel.
    expected = sm.stats.DescrStatsW(difference).ttest_mean(0)[1]
    assert significance.diebold_mariano(ours, theirs, overlap=0) == pytest.approx(expected)


@pytest.mark.parametrize("overlap", [1, 3, 7])
def test_its_variance_is_that_of_statsmodels(overlap):
    random = np.random.default_rng(7)
    ours, theirs = autoregressive(random, 300) + 3, autoregressive(random, 300) + 3.3
    fit = sm.OLS(theirs - ours, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": overlap})
    steps, n = overlap + 1, 300
    correction = (n + 1 - 2 * steps + steps * (steps - 1) / n) / n
    statistic = abs(fit.tvalues[0]) * np.sqrt(correction)
    expected = 2 * stats.t.sf(statistic, n - 1)
    assert significance.diebold_mariano(ours, theirs, overlap) == pytest.approx(expected)


def test_equal_losses_are_no_difference():
    losses = np.arange(10.0)
    assert significance.diebold_mariano(losses, losses, overlap=2) == 1.0
    assert significance.diebold_mariano(losses, losses + 1, overlap=2) == 0.0
