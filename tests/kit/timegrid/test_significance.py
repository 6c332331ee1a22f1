"""Intervals and tests for errors that are correlated in time."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from portfolio_kit.timegrid import significance
from portfolio_kit.timegrid.significance import BlockBootstrap


def autoregressive(random, length, memory=0.8):
    noise = random.normal(size=length + 50)
    for step in range(1, len(noise)):
        noise[step] += memory * noise[step - 1]
    return noise[50:]


def test_blocks_are_consecutive_and_every_moment_is_equally_likely():
    drawn = significance.draw_blocks(moments=50, block=10, samples=4000, seed=1)
    assert drawn.shape == (4000, 50)
    follows = (drawn[:, 1:] - drawn[:, :-1]) % 50 == 1
    inside_blocks = np.arange(1, 50) % 10 > 0
    assert follows[:, inside_blocks].all()
    assert not follows[:, ~inside_blocks].all()
    shares = np.bincount(drawn.ravel(), minlength=50) / drawn.size
    assert shares == pytest.approx(1 / 50, rel=0.1)


def test_a_block_longer_than_the_series_is_the_whole_series():
    drawn = significance.draw_blocks(moments=5, block=100, samples=20, seed=1)
    assert (np.sort(drawn, axis=1) == np.arange(5)).all()


def test_the_interval_covers_the_mean_of_a_series_with_memory():
    """Drawn one by one, moments would seem to say more than they do: too narrow an interval."""
    random = np.random.default_rng(3)
    covered, ones = {1: 0, 25: 0}, np.ones(400)
    for _ in range(150):
        series = autoregressive(random, 400)
        for block in covered:
            bootstrap = BlockBootstrap(np.arange(400), block, samples=200, seed=1)
            mean, (low, high) = bootstrap.ratio(series, ones)
            assert mean == pytest.approx(series.mean())
            covered[block] += low <= 0 <= high
    assert covered[25] / 150 > 0.85
    assert covered[1] / 150 < 0.65


@pytest.mark.parametrize(("moments", "block"), [(1, 1), (4, 1), (9, 100), (49, 10)])
def test_of_few_stretches_of_time_there_is_no_interval(moments, block):
    """Their draws are alike or the same: an interval of no width would look certain."""
    values = np.random.default_rng(1).normal(5, 1, moments)
    bootstrap = BlockBootstrap(np.arange(moments), block, samples=100, seed=1)
    mean, interval = bootstrap.ratio(values, np.ones(moments))
    assert mean == pytest.approx(values.mean())
    assert interval is None


@pytest.mark.parametrize(("moments", "block"), [(5, 1), (50, 10)])
def test_of_some_there_is_one(moments, block):
    values = np.random.default_rng(1).normal(5, 1, moments)
    bootstrap = BlockBootstrap(np.arange(moments), block, samples=100, seed=1)
    _, (low, high) = bootstrap.ratio(values, np.ones(moments))
    assert low < values.mean() < high


def test_windows_of_one_moment_are_drawn_together():
    starts = np.array([30, 10, 20, 10, 30])
    values = np.array([[1.0, np.nan], [2, 3], [4, 5], [6, np.nan], [np.nan, np.nan]])
    bootstrap = BlockBootstrap(starts, block=1, samples=100, seed=1)
    assert bootstrap.moments == 3
    assert bootstrap.sum(values).tolist() == [11, 9, 1]


def test_without_overlap_it_is_the_paired_t_test():
    random = np.random.default_rng(5)
    ours, theirs = random.gamma(2, size=40), random.gamma(2.5, size=40)
    difference = theirs - ours
    # The variance by n instead of n - 1, and the correction for small samples, cancel.
    expected = sm.stats.DescrStatsW(difference).ttest_mean(0)[1]
    assert significance.diebold_mariano(ours, theirs, overlap=0) == pytest.approx(expected)


@pytest.mark.parametrize("overlap", [1, 3, 7])
def test_the_variance_agrees_with_statsmodels(overlap):
    random = np.random.default_rng(7)
    ours, theirs = autoregressive(random, 300) + 3, autoregressive(random, 300) + 3.3
    fit = sm.OLS(theirs - ours, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": overlap})
    steps, n = overlap + 1, 300
    correction = (n + 1 - 2 * steps + steps * (steps - 1) / n) / n
    statistic = abs(fit.tvalues[0]) * np.sqrt(correction)
    expected = 2 * stats.t.sf(statistic, n - 1)
    assert significance.diebold_mariano(ours, theirs, overlap) == pytest.approx(expected)


def test_equal_losses_are_not_a_difference():
    losses = np.arange(10.0)
    assert significance.diebold_mariano(losses, losses, overlap=2) == 1.0
    assert significance.diebold_mariano(losses, losses + 1, overlap=2) == 0.0
