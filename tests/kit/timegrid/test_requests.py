"""Series in requests: what is parsed, and what is rejected with the row and the fix."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from fastapi import HTTPException
from pydantic import TypeAdapter, ValidationError
from timegrid.series import grid, series

from portfolio_kit.timegrid.requests import (
    FutureRow,
    HistoryRow,
    history_of,
    series_of,
    with_future,
)

HISTORY, FUTURE = TypeAdapter(list[HistoryRow]), TypeAdapter(list[FutureRow])
HOUR, NEW_YORK = timedelta(hours=1), "America/New_York"
AT_LEAST, AHEAD = 48, 12


@pytest.fixture
def history():
    """A history as a request has it."""
    return history_of(series(length=AT_LEAST), grid())


@pytest.fixture
def future(history):
    """What is known of the steps after the history."""
    last = datetime.fromisoformat(history[-1]["ds"])
    moments = (last + step * HOUR for step in range(1, AHEAD + 1))
    return [{"ds": moment.isoformat(), "event": moment.hour % 2} for moment in moments]


def parsed(history, future=None, h=AHEAD, positive=False, **changes):
    """Return the series of a request, as the route does."""
    shape = grid(**changes)
    found = series_of(HISTORY.validate_python(history), shape, AT_LEAST, positive)
    return with_future(found, FUTURE.validate_python(future), h, shape) if future else found


def rejected(*arguments, **options):
    """Return where and why a request is rejected."""
    with pytest.raises(HTTPException) as error:
        parsed(*arguments, **options)
    assert error.value.status_code == 422
    [problem] = error.value.detail
    return ".".join(problem["loc"]), problem["msg"]


def invalid(history):
    """Return where a request has the wrong types."""
    with pytest.raises(ValidationError) as error:
        HISTORY.validate_json(history) if isinstance(history, str) else parsed(history)
    return {error["loc"][:2] for error in error.value.errors()}


def changed(history, row, **values):
    return [*history[:row], {**history[row], **values}, *history[row + 1 :]]


def test_a_history_becomes_its_series_again(history):
    [found] = parsed(history)
    expected = series(length=AT_LEAST)
    assert (found.name, found.start) == (expected.name, expected.start)
    for field in ("y", "past", "future", "observed"):
        assert np.array_equal(getattr(found, field), getattr(expected, field))


def test_rows_of_several_series_may_alternate(history):
    rows = [
        {**row, "unique_id": name, "y": factor * row["y"]}
        for row in history
        for name, factor in (("small", 1), ("large", 10))
    ]
    small, large = parsed(rows)
    assert (small.name, large.name) == ("small", "large")
    assert np.array_equal(10 * small.y, large.y)


@pytest.mark.parametrize("offset", ["Z", "+00:00"])
@pytest.mark.parametrize("between", ["T", " "])
def test_times_may_be_written_in_any_iso_way(between, offset, history):
    rows = [{**row, "ds": row["ds"].replace("T", between) + offset} for row in history]
    assert parsed(rows)[0].start == parsed(history)[0].start


@pytest.mark.parametrize("after", range(5), ids="{} hours of it in the history".format)
@pytest.mark.parametrize("change", ["2024-03-10T07:00", "2024-11-03T05:00"], ids=["spring", "fall"])
def test_local_times_are_told_apart_when_clocks_change(change, after):
    first = datetime.fromisoformat(change).replace(tzinfo=UTC) + (after - AT_LEAST) * HOUR
    moments = [first + n * HOUR for n in range(AT_LEAST + AHEAD)]
    local = [one.astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None) for one in moments]
    for times in (moments, local):
        rows = [
            {"ds": one.isoformat(), "y": n, "rain": 0, "event": n} for n, one in enumerate(times)
        ]
        [found] = parsed(rows[:AT_LEAST], rows[AT_LEAST:], timezone=NEW_YORK)
        assert found.start == np.datetime64(first.replace(tzinfo=None), "s")
        assert found.future[:, 0].tolist() == list(range(AT_LEAST + AHEAD))


@pytest.mark.parametrize("ds", ["2024-11-02T04:00", "2024-11-03T01:00"])
def test_local_times_that_are_there_too_often_are_rejected(ds):
    moments = [datetime(2024, 11, 2) + n * HOUR for n in range(96)]
    rows = [{"ds": one.isoformat(), "y": 1, "rain": 0, "event": 0} for one in moments]
    place = next(n for n, row in enumerate(rows) if row["ds"].startswith(ds))
    twice = [*rows[:place], *[rows[place]] * 2, *rows[place:]]
    _, why = rejected(twice, timezone=NEW_YORK)
    assert "give each time once" in why


def test_a_history_that_is_too_short_is_rejected(history):
    where, why = rejected(history[1:])
    assert where == "body.history.0.ds"
    assert why == "series 'y' has 47 rows; the model needs at least 48"


@pytest.mark.parametrize(("missing", "words"), [(1, "1 step of h"), (3, "3 steps of h")])
def test_a_history_with_a_hole_is_rejected_at_the_row_after_it(missing, words, history):
    where, why = rejected(history[:5] + history[5 + missing :])
    assert where == "body.history.5.ds"
    assert why == f"skips {words}; add what is missing"


def test_an_unsorted_history_is_rejected(history):
    where, _ = rejected([*history[:5], history[6], history[5], *history[7:]])
    assert where in ("body.history.5.ds", "body.history.6.ds")
    where, why = rejected(history[::-1])
    assert where == "body.history.1.ds"
    assert "sort" in why


def test_a_repeated_time_is_rejected(history):
    where, why = rejected([*history[:5], history[4], *history[5:]])
    assert where == "body.history.5.ds"
    assert "once" in why


@pytest.mark.parametrize("freq", ["30min", "2h", "D"])
def test_another_frequency_is_rejected(freq, history):
    where, why = rejected(history, freq=freq)
    assert where == "body.history.1.ds"
    assert why == f"is h after the row above; the model's step is {freq}"


@pytest.mark.parametrize("value", [None, "many", True, [1], 1e31, math.nan, math.inf])
def test_a_value_that_is_not_a_number_is_invalid(value, history):
    assert invalid(changed(history, 7, y=value)) == {(7, "y")}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_json_that_is_not_a_number_is_invalid(number):
    assert invalid('[{"ds": "2024-01-01T00:00:00", "y": NUMBER}]'.replace("NUMBER", number))


@pytest.mark.parametrize("value", [None, "wet", True, 1e31, math.nan])
@pytest.mark.parametrize("name", ["rain", "event"])
def test_a_covariate_that_is_not_a_number_is_rejected(name, value, history):
    where, why = rejected(changed(history, 7, **{name: value}))
    assert where == f"body.history.7.{name}"
    assert "not a number" in why


def test_where_values_are_positive_others_are_rejected(history):
    assert parsed(history, positive=True)
    for y in (0, -3):
        where, why = rejected(changed(history, 7, y=y), positive=True)
        assert where == "body.history.7.y"
        assert "above zero" in why


@pytest.mark.parametrize("ds", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_ends_of_the_calendar_is_rejected_too(ds, history):
    where, _ = rejected(changed(history, 7, ds=ds))
    assert where in ("body.history.7.ds", "body.history.8.ds")


def test_what_is_known_in_advance_follows_the_history(history, future):
    [found] = parsed(history, future)
    event = [row["event"] for row in [*history, *future]]
    assert found.future[:, 0].tolist() == event
    [shorter] = parsed(history, future, h=5)
    assert len(shorter.future) == AT_LEAST + 5


def test_a_future_that_does_not_follow_the_history_is_rejected(history, future):
    where, why = rejected(history, future[:-1])
    assert where == "body.future"
    assert f"event of the {AHEAD} steps" in why
    where, why = rejected(history, future[1:], h=5)
    assert where == "body.future.0.ds"
    assert why == f"must be {future[0]['ds']}, the step after the history"
    where, _ = rejected(history, [future[0], *future[2:]], h=5)
    assert where == "body.future.1.ds"
    where, _ = rejected(history, [{"ds": row["ds"]} for row in future])
    assert where == "body.future.0.event"


def test_a_future_without_its_history_is_rejected(history, future):
    where, why = rejected(history, [*future, {**future[0], "unique_id": "Quai"}])
    assert where == f"body.future.{AHEAD}.unique_id"
    assert why == "series 'Quai' has no history here; add one, or remove the series"


def test_a_future_that_the_model_does_not_use_is_rejected(history, future):
    where, why = rejected(history, future, future_columns=[])
    assert where == "body.future"
    assert why.startswith("must be left out")


@pytest.mark.parametrize(("timezone", "end"), [(None, ""), ("Europe/London", "Z")])
def test_moments_are_written_in_utc_if_the_zone_is_known(timezone, end):
    rows = history_of(series(length=2), grid(timezone=timezone))
    assert [row["ds"] for row in rows] == [f"2024-03-01T0{hour}:00:00{end}" for hour in range(2)]
    assert list(rows[0]) == ["ds", "y", "rain", "event"]
