"""Two samples, compared: checked against SciPy, formulas by hand, and many repetitions."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from portfolio_kit.config import Monitor
from portfolio_kit.monitoring import drift

SETTINGS = Monitor(rows=2000, significance=0.01, effect=0.15, invalid=0.05, labels=None)


def table(random, rows, shift=0.0, shares=(0.5, 0.3, 0.2)):
    """Return made-up signals: two numbers and a label."""
    return pd.DataFrame(
        {
            "words": random.poisson(14 + 8 * shift, rows).astype(float),
            "confidence": random.beta(8, 2 + 6 * shift, rows),
            "label": random.choice(["a", "b", "c"], rows, p=shares),
        }
    )


def alarms(reference, window, settings=SETTINGS):
    return {one.signal for one in drift.compare(reference, window, settings) if one.is_alarm}


def test_numbers_are_compared_as_in_scipy():
    random = np.random.default_rng(1)
    one, other = table(random, 500), table(random, 300, shift=0.5)
    for finding in drift.compare(one, other, SETTINGS)[:2]:
        expected = stats.ks_2samp(one[finding.signal], other[finding.signal], method="asymp")
        assert finding.effect == pytest.approx(expected.statistic)
        assert finding.p_value == pytest.approx(expected.pvalue)


def test_the_effect_of_numbers_is_the_largest_gap_between_their_distributions():
    random = np.random.default_rng(2)
    one, other = random.normal(size=200), random.normal(0.7, 1, 150)
    gaps = [abs((one <= x).mean() - (other <= x).mean()) for x in [*one, *other]]
    [finding] = drift.compare(pd.DataFrame({"x": one}), pd.DataFrame({"x": other}), SETTINGS)
    assert finding.effect == pytest.approx(max(gaps))


def test_categories_are_compared_as_in_the_formula():
    one, other = ["a"] * 60 + ["b"] * 40, ["a"] * 20 + ["b"] * 30
    [finding] = drift.compare(pd.DataFrame({"l": one}), pd.DataFrame({"l": other}), SETTINGS)
    observed = np.array([[60, 40], [20, 30]])
    expected = observed.sum(1)[:, None] * observed.sum(0) / 150
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert finding.effect == pytest.approx(np.sqrt(statistic / 150))
    assert finding.p_value == pytest.approx(stats.chi2.sf(statistic, 1))


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_adjusted_as_in_holm_s_paper(seed):
    p_values = np.random.default_rng(seed).uniform(0, 0.2, 6).tolist()
    ranked = sorted(p_values)
    by_hand = [
        min(1, max((6 - rank) * ranked[rank] for rank in range(ranked.index(p) + 1)))
        for p in p_values
    ]
    assert drift.holm(p_values) == pytest.approx(by_hand)


def test_equal_tables_show_no_difference():
    one = table(np.random.default_rng(3), 400)
    for finding in drift.compare(one, one, SETTINGS):
        assert (finding.effect, finding.adjusted, finding.is_alarm) == (0.0, 1.0, False)


def test_false_alarms_are_no_more_frequent_than_the_significance_level():
    """Of 200 windows at 1% each, more than 7 alarms have a chance of one in a thousand."""
    random = np.random.default_rng(4)
    reference = table(random, 1000)
    loose = SETTINGS.model_copy(update={"effect": 0.001})  # only chance decides
    raised = sum(bool(alarms(reference, table(random, 400), loose)) for _ in range(200))
    assert raised <= 7


@pytest.mark.parametrize(
    ("change", "signal"),
    [
        ({"shift": 0.6}, "words"),
        ({"shift": 0.6}, "confidence"),
        ({"shares": (0.1, 0.2, 0.7)}, "label"),
    ],
)
def test_a_shift_raises_an_alarm_for_the_signal_that_shifted(change, signal):
    random = np.random.default_rng(5)
    reference = table(random, 1000)
    for _ in range(20):
        assert signal in alarms(reference, table(random, 300, **change))


def test_a_certain_but_tiny_difference_raises_no_alarm():
    random = np.random.default_rng(6)
    one = pd.DataFrame({"x": random.normal(size=50_000)})
    other = pd.DataFrame({"x": random.normal(0.1, 1, 50_000)})
    [finding] = drift.compare(one, other, SETTINGS)
    assert finding.adjusted < 1e-6
    assert finding.effect < SETTINGS.effect
    assert not finding.is_alarm


def test_a_new_category_raises_an_alarm():
    one = pd.DataFrame({"label": ["a", "b"] * 100})
    other = pd.DataFrame({"label": ["a", "b", "new"] * 50})
    assert alarms(one, other) == {"label"}


@pytest.mark.parametrize("values", [["a"] * 50, [1.0] * 50])
def test_a_constant_raises_no_alarm(values):
    one = pd.DataFrame({"x": values})
    assert alarms(one, one.head(20)) == set()


def test_rare_categories_are_merged():
    one = pd.DataFrame({"label": ["a"] * 500 + [f"rare {n}" for n in range(40)]})
    other = pd.DataFrame({"label": ["a"] * 250 + [f"seldom {n}" for n in range(20)]})
    assert alarms(one, other) == set()
