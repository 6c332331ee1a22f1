"""The regressions that a forecaster starts from, compared with scikit-learn's."""

from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from portfolio_kit.timegrid import least_squares
from portfolio_kit.timegrid.least_squares import Batch, Sums, fit

HORIZON, SIGNS, STEPS = 3, 2, 12


def lesson(rows, by_signs, by_steps, seed=1, observed=1.0, noise=0.5):
    """Make windows whose values follow from signs, recent steps, or both, in two batches."""
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(0)  # the same for each lesson
    signs = random.normal(size=(rows, HORIZON, SIGNS))
    recent = random.normal(size=(rows, STEPS))
    y = by_signs * (signs * truth.normal(size=(HORIZON, SIGNS))).sum(axis=2)
    y += by_steps * recent @ truth.normal(size=(STEPS, HORIZON))
    y += noise * random.normal(size=y.shape)
    known = random.random(y.shape) < observed
    arrays = signs, recent, y, known
    halves = (slice(rows // 2), slice(rows // 2, None))
    return [Batch(*(torch.from_numpy(array[half]) for array in arrays)) for half in halves]


def source(batches):
    return lambda: iter(batches)


def stacked(batches):
    return [torch.cat(each).numpy() for each in zip(*batches, strict=True)]


def error(weights, batches):
    signs, recent, y, observed = map(torch.from_numpy, stacked(batches))
    off = y - (signs * weights.signs).sum(dim=2) - recent @ weights.recent
    return off[observed].abs().sum().item()


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_both_regressions_are_those_of_scikit_learn(ridge, monkeypatch):
    monkeypatch.setattr(least_squares, "RIDGES", (ridge,))
    batches = lesson(200, by_signs=1, by_steps=1)
    signs, recent, y, _ = stacked(batches)
    alone, both = Sums.total(map(Sums.of, batches)).solve()
    size = ridge * (recent**2).sum(axis=0).mean()
    expected = Ridge(size, fit_intercept=False).fit(recent, y)
    np.testing.assert_allclose(alone.recent, expected.coef_.T, atol=1e-8)
    assert not alone.signs.any()
    for lead in range(HORIZON):
        x = signs[:, lead]
        size = least_squares.RIDGE * (x**2).sum(axis=0).mean()
        first = Ridge(size, fit_intercept=False).fit(x, y[:, lead])
        np.testing.assert_allclose(both.signs[lead], first.coef_, atol=1e-8)
        size = ridge * (recent**2).sum(axis=0).mean()
        second = Ridge(size, fit_intercept=False).fit(recent, y[:, lead] - first.predict(x))
        np.testing.assert_allclose(both.recent[:, lead], second.coef_, atol=1e-8)


def test_what_is_not_observed_is_not_learned_from():
    batches = lesson(300, by_signs=1, by_steps=0, observed=0.7, noise=0)
    for batch in batches:
        batch.y[~batch.observed] = float("nan")
    signs, _, y, observed = stacked(batches)
    *_, weights = Sums.total(map(Sums.of, batches)).solve()
    for lead in range(HORIZON):
        x, seen = signs[:, lead], observed[:, lead]
        size = least_squares.RIDGE * (x[seen] ** 2).sum(axis=0).mean()
        first = Ridge(size, fit_intercept=False).fit(x[seen], y[seen, lead])
        np.testing.assert_allclose(weights.signs[lead], first.coef_, atol=1e-8)


def test_the_choice_is_the_best_of_all_on_rows_that_are_left_out():
    parts = [lesson(60, by_signs=1, by_steps=0.3, seed=seed) for seed in range(4)]
    valid = lesson(20, by_signs=1, by_steps=0.3, seed=9)
    whole = Sums.total(map(Sums.of, chain(*parts))).solve()
    errors = np.array([error(weights, valid) for weights in whole])
    for number, part in enumerate(parts):
        others = chain(*parts[:number], *parts[number + 1 :])
        found = Sums.total(map(Sums.of, others)).solve()
        errors += [error(weights, part) for weights in found]
    expected = whole[errors.argmin()]
    chosen = fit(list(map(source, parts)), source(valid))
    torch.testing.assert_close(chosen.signs, expected.signs)
    torch.testing.assert_close(chosen.recent, expected.recent)


def test_on_few_windows_the_signs_alone_predict_and_on_many_the_recent_steps_do():
    few = [lesson(20, by_signs=1, by_steps=0, seed=seed) for seed in range(4)]
    chosen = fit(list(map(source, few)), source(lesson(4, by_signs=1, by_steps=0, seed=9)))
    assert chosen.signs.any()
    assert chosen.recent.abs().max() < 0.02
    many = [lesson(500, by_signs=0, by_steps=1, seed=seed) for seed in range(4)]
    held_out = lesson(500, by_signs=0, by_steps=1, seed=9)
    chosen = fit(list(map(source, many)), source(held_out))
    noise_alone = 0.5 * np.sqrt(2 / np.pi)
    assert error(chosen, held_out) / (500 * HORIZON) == pytest.approx(noise_alone, rel=0.05)


def test_a_short_validation_block_does_not_decide_alone():
    """Its four windows are noise, as if nothing could be predicted; the others say otherwise."""
    parts = [lesson(200, by_signs=0, by_steps=1, seed=seed) for seed in range(4)]
    valid = lesson(4, by_signs=0, by_steps=0, seed=9, noise=1)
    chosen = fit(list(map(source, parts)), source(valid))
    held_out = lesson(500, by_signs=0, by_steps=1, seed=8)
    assert error(chosen, held_out) / (500 * HORIZON) < 0.5
