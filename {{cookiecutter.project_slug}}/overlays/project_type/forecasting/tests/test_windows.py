"""A window holds what was known at its origin: nothing leaks into it from later."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio_kit.timegrid.series import Series

from {{cookiecutter.package_name}}.data.rolling import origins
from {{cookiecutter.package_name}}.features import Shape, Windows

LENGTH = 300
START = np.datetime64("2024-03-01T00:00:00")
SHAPE = Shape(
    horizon=12,
    season_lengths=[8, 24],
    seasons=2,
    freq="h",
    timezone=None,
    holidays=None,
    yearly=True,
    past_delay=5,
    past_columns=["rain", "wind"],
    future_columns=["price"],
)
ORIGIN = 200


def series(name="a", seed=1, length=LENGTH, start=START):
    random = np.random.default_rng(seed)
    return Series(
        name=name,
        start=start,
        y=random.normal(size=length),
        past=random.normal(size=(length, 2)).astype(np.float32),
        future=random.normal(size=(length, 1)).astype(np.float32),
        observed=np.ones(length, dtype=bool),
    )


def inputs(one, origin=ORIGIN, shape=SHAPE):
    return Windows([one], shape).inputs(np.array([0]), np.array([origin]))


def changed(one, field, rows):
    """Return a series with some rows of a field moved by 1."""
    values = getattr(one, field).copy()
    values[rows] += 1
    return replace(one, **{field: values})


def same(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("delay", [0, 1, 5, 30])
@pytest.mark.parametrize("origin", [250, LENGTH - 12, LENGTH])
def test_values_that_are_not_known_at_the_origin_change_nothing(delay, origin):
    shape, one = SHAPE.model_copy(update={"past_delay": delay}), series()
    before = inputs(one, origin, shape)
    assert same(before, inputs(changed(one, "y", slice(origin, None)), origin, shape))
    late = changed(one, "past", slice(origin - delay, None))
    assert same(before, inputs(late, origin, shape))
    known = np.arange(LENGTH)[:, None] < origin - delay
    unknown = replace(one, past=np.where(known, one.past, np.float32("nan")))
    assert same(before, inputs(unknown, origin, shape))


@pytest.mark.parametrize("delay", [0, 1, 5, 30])
def test_the_newest_past_covariate_that_is_known_is_seen(delay):
    shape, one = SHAPE.model_copy(update={"past_delay": delay}), series()
    newest = changed(one, "past", ORIGIN - 1 - delay)
    before, after = inputs(one, ORIGIN, shape), inputs(newest, ORIGIN, shape)
    moved = np.zeros(before.steps.shape[-1])
    moved[:2] = 1  # by as much as they were changed, at each step
    np.testing.assert_allclose(after.steps - before.steps, np.tile(moved, (1, 12, 1)), atol=1e-6)
    assert np.array_equal(before.history, after.history)


@pytest.mark.parametrize("row", range(ORIGIN, ORIGIN + 12))
def test_future_covariates_of_each_step_ahead_are_seen_at_that_step(row):
    before, after = inputs(series()), inputs(changed(series(), "future", row))
    moved = (before.steps != after.steps).any(axis=2)[0]
    assert np.flatnonzero(moved).tolist() == [row - ORIGIN]
    assert np.array_equal(before.history, after.history)


def test_future_covariates_beyond_the_horizon_change_nothing():
    assert same(inputs(series()), inputs(changed(series(), "future", slice(ORIGIN + 12, None))))


def test_the_history_ends_right_before_the_origin():
    one = series()
    window = inputs(one)
    assert window.history.shape == (1, SHAPE.history)
    assert np.array_equal(window.history[0], one.y[ORIGIN - SHAPE.history : ORIGIN])


def test_targets_begin_at_the_origin_and_tell_which_were_observed():
    one = series()
    masked = replace(one, observed=np.arange(LENGTH) != ORIGIN + 3)
    y, observed = Windows([masked], SHAPE).targets(np.array([0]), np.array([ORIGIN]))
    assert np.array_equal(y[0], one.y[ORIGIN : ORIGIN + 12])
    assert np.flatnonzero(~observed[0]).tolist() == [3]


def test_past_covariates_ahead_are_those_of_the_horizon():
    one = series()
    ahead = Windows([one], SHAPE).past_ahead(np.array([0]), np.array([ORIGIN]))
    np.testing.assert_allclose(ahead[0], one.past[ORIGIN : ORIGIN + 12], atol=1e-6)


@pytest.mark.parametrize("origin", [SHAPE.history, ORIGIN, LENGTH], ids=["first", "any", "last"])
def test_the_steps_have_the_calendar_of_their_moments(origin):
    window = inputs(series(), origin)
    moments = START + np.timedelta64(1, "h") * np.arange(origin, origin + 12)
    calendar = SHAPE.calendar.features(moments)
    assert np.array_equal(window.steps[0, :, 2 : 2 + calendar.shape[1]], calendar)


def test_a_window_is_the_same_among_others_and_alone():
    many = [series(name, seed, length) for name, seed, length in (("a", 1, 150), ("b", 2, 300))]
    windows = Windows(many, SHAPE)
    which, at = origins(windows, None, None, 7)
    together = windows.inputs(which, at)
    for row in (0, 1, len(at) - 1):
        alone = inputs(many[which[row]], at[row])
        assert same([part[row] for part in together], [part[0] for part in alone])


def test_the_past_of_a_series_does_not_come_from_the_one_before_it():
    first, second = series("a", 1), series("b", 2)
    pair = np.array([1]), np.array([SHAPE.history])
    before = Windows([first, second], SHAPE).inputs(*pair)
    other = replace(first, y=first.y + 1, past=first.past + 1, future=first.future + 1)
    assert same(before, Windows([other, second], SHAPE).inputs(*pair))


def test_a_window_at_the_end_needs_covariates_of_its_horizon_alone():
    one = series()
    ahead = np.full((12, 1), 7, np.float32)
    window = inputs(replace(one, future=np.concatenate([one.future, ahead])), LENGTH)
    assert (window.steps[0, :, -1] == 7).all()
    assert np.isfinite(window.history).all()
    assert np.isfinite(window.steps).all()


@pytest.mark.parametrize(
    ("columns", "delay", "steps"),
    [([], 5, 72), (["rain", "wind"], 5, 72), (["rain", "wind"], 95, 96)],
    ids=["no past covariates", "seasons take more", "past covariates take more"],
)
def test_the_history_is_as_long_as_its_parts_take(columns, delay, steps):
    shape = SHAPE.model_copy(update={"past_columns": columns, "past_delay": delay})
    assert shape.history == steps
    one = series(length=steps + 12)
    one = one if columns else replace(one, past=one.past[:, :0])
    window = inputs(one, shape.history, shape)
    assert all(np.isfinite(part).all() for part in window)


def test_origins_are_those_whose_history_and_horizon_fit():
    windows = Windows([series("a"), series("b", start=START + np.timedelta64(50, "h"))], SHAPE)
    hour = np.timedelta64(1, "h")
    which, at = origins(windows, START + 100 * hour, START + 150 * hour, 5)
    history = SHAPE.history
    assert at[which == 0].tolist() == list(range(max(100, history), 150 - 12 + 1, 5))
    assert at[which == 1].tolist() == list(range(max(50, history), 100 - 12 + 1, 5))
    which, at = origins(windows, None, None)
    assert np.bincount(which).tolist() == [LENGTH - history - 12 + 1] * 2
    which, at = origins(windows, START + 290 * hour, START + 300 * hour)
    assert len(which) == len(at) == 0
