"""Series are cut, continued and read back as they were."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from timegrid.series import grid, series

from portfolio_kit.timegrid.origins import Origins
from portfolio_kit.timegrid.series import Question, read_csv


def test_before_an_origin_there_is_what_is_known_there():
    whole, hour = series(length=60), grid().step
    cut = whole.before(origin=40, history=24, ahead=12, step=hour)
    assert cut.start == whole.start + 16 * hour
    for field in ("y", "past", "observed"):
        assert np.array_equal(getattr(cut, field), getattr(whole, field)[16:40])
    assert np.array_equal(cut.future, whole.future[16:52])
    assert len(whole.before(origin=10, history=24, ahead=12, step=hour).y) == 10


def test_a_longer_series_keeps_its_last_past_covariates():
    whole = series(length=60)
    longer = whole.longer(np.array([7.0, 8.0]))
    assert longer.y.tolist() == [*whole.y, 7, 8]
    assert longer.past[60:].tolist() == [whole.past[-1].tolist()] * 2
    assert longer.observed.sum() == 62
    assert np.array_equal(longer.future, whole.future)


@pytest.mark.parametrize(("h", "cost"), [(1, 1), (12, 1), (13, 2), (480, 40)])
def test_a_question_costs_a_window_for_each_horizon(h, cost):
    assert len(Question(series(), h, horizon=12)) == cost


def test_stored_series_are_read_back():
    hour, names = grid().step, ("Quay", "Ärmel, 7")
    whole = [series(name, length) for name, length in zip(names, (5, 7), strict=True)]
    tables = [
        pd.DataFrame(
            {
                "unique_id": one.name,
                "ds": pd.Series(one.start + hour * np.arange(len(one.y))),
                "y": one.y,
                "event": one.future[:, 0],
                "rain": one.past[:, 0],
            }
        )
        for one in whole
    ]
    pd.concat(tables).to_csv("history.csv", index=False)
    for found, expected in zip(read_csv(Path("history.csv"), grid()), whole, strict=True):
        assert (found.name, found.start) == (expected.name, expected.start)
        for field in ("y", "past", "future", "observed"):
            assert np.array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("count", [1, 511, 512, 513, 2000])
def test_batches_hold_each_window_once_and_are_of_similar_size(count):
    whole = Origins(np.arange(count) % 3, np.arange(count))
    batches = list(whole.batches(512))
    assert np.concatenate([batch.at for batch in batches]).tolist() == list(range(count))
    assert np.concatenate([batch.which for batch in batches]).tolist() == whole.which.tolist()
    sizes = [len(batch.at) for batch in batches]
    assert max(sizes) <= 512
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("count", "most"), [(10, 4), (10, 10), (10, 99), (1, 5)])
def test_windows_are_spread_evenly(count, most):
    chosen = Origins(np.zeros(count, int), np.arange(count)).spread(most).at
    assert len(chosen) == min(count, most) == len(set(chosen.tolist()))
    assert chosen[0] == 0
    assert chosen[-1] == (count - 1 if most > 1 else 0)
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True
