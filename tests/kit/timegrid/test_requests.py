"""Series in requests: what is parsed, and what is rejected with the row and the fix."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from fastapi import HTTPException
from pydantic import TypeAdapter, ValidationError
from timegrid.series import grid, series

from portfolio_kit.timegrid.requests import (
    FutureRow,
    HistoryRow,
    SeriesRequest,
    check_finite,
    history_of,
    series_of,
    with_future,
)
from portfolio_kit.timegrid.series import Question

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
def test_a_time_at_the_ends_of_the_calendar_is_invalid(ds, history):
    assert invalid(changed(history, 7, ds=ds)) == {(7, "ds")}


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
    plain = [{name: row[name] for name in row if name != "event"} for row in history]
    where, why = rejected(plain, future, future_columns=[])
    assert where == "body.future"
    assert why.startswith("must be left out")


def test_rows_with_and_without_an_offset_do_not_mix(history, future):
    for changes in ({}, {"timezone": NEW_YORK}, {"offsets": True}, {"freq": "D"}):
        mixed = [{**row, "ds": f"{row['ds']}Z"} for row in history[:7]] + history[7:]
        where, why = rejected(mixed, **changes)
        assert (where, why) == ("body.history.7.ds", "is without an offset, which other rows have")
    where, _ = rejected(history, changed(future, 3, ds=f"{future[3]['ds']}Z"))
    assert where == "body.future.0.ds"


def test_an_offset_that_the_models_data_do_not_have_is_rejected(history):
    east = [{**row, "ds": f"{row['ds']}+09:00"} for row in history]
    where, why = rejected(east)
    assert where == "body.history.0.ds"
    assert why == "has an offset, which times of the model's data do not have; leave it out"
    nine = np.timedelta64(9, "h")
    for changes in ({"timezone": NEW_YORK}, {"offsets": True}):
        assert parsed(east, **changes)[0].start == parsed(history)[0].start - nine


def test_a_missing_offset_that_the_models_data_have_is_rejected(history):
    where, why = rejected(history, offsets=True)
    assert where == "body.history.0.ds"
    assert why == "has no offset, which times of the model's data have; add one, such as Z"
    again = history_of(series(length=AT_LEAST), grid(offsets=True))
    assert parsed(again, offsets=True)[0].start == parsed(history)[0].start


DAYS = [str(date(2024, 1, 31) + timedelta(days=number)) for number in range(AT_LEAST + AHEAD)]


@pytest.mark.parametrize("timezone", [None, "Asia/Tokyo", NEW_YORK])
@pytest.mark.parametrize(
    "form", ["{}", "{}T00:00:00", "{}T00:00Z", "{}T00+09", "{} 00:00:00-05:00"]
)
def test_whole_days_are_the_dates_as_written(form, timezone):
    """New York's clocks change on 10 March, within the history."""
    rows = [{"ds": form.format(day), "y": 1, "rain": 0, "event": 0} for day in DAYS]
    shape = {"freq": "D", "timezone": timezone}
    [found] = parsed(rows[:AT_LEAST], rows[AT_LEAST:], **shape)
    assert found.start == np.datetime64(DAYS[0], "s")
    assert len(found.future) == len(DAYS)
    assert [row["ds"] for row in history_of(found, grid(**shape))] == DAYS[:AT_LEAST]


def test_days_may_be_written_in_utc_if_the_zone_is_known():
    utc = [
        datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)
        for day in DAYS
    ]
    rows = [{"ds": one.isoformat(), "y": 1, "rain": 0, "event": 0} for one in utc]
    [found] = parsed(rows[:AT_LEAST], rows[AT_LEAST:], freq="D", timezone=NEW_YORK)
    assert found.start == np.datetime64(DAYS[0], "s")
    where, why = rejected(rows[:AT_LEAST], freq="D")
    assert where == "body.history.0.ds"
    assert why.startswith("is not at midnight, so the day is unclear; write plain dates, or set")


@pytest.mark.parametrize("part", ["history", "future"])
def test_an_unknown_key_of_a_row_is_rejected(part, history, future):
    rows = {"history": history, "future": future}
    rows[part] = changed(rows[part], 3, rian=1)
    where, why = rejected(rows["history"], rows["future"])
    assert where == f"body.{part}.3"
    assert why == "has the unknown key 'rian'; this model takes ds, event, rain, unique_id, y"


def test_names_of_series_are_those_of_files(history):
    rows = [{**row, "unique_id": "Cafe\u0301 "} for row in history]
    rows += [{**row, "unique_id": "\u00a0B  1"} for row in history]
    assert [one.name for one in parsed(rows)] == ["Caf\u00e9", "B 1"]


def test_a_request_asks_for_all_stored_series_or_one_or_its_own(history):
    stored = {name: series(name, 60) for name in ("Quay", "Pier 1")}

    def asked(**body):
        return SeriesRequest(**body).series(stored, grid(), AT_LEAST, positive=False)

    assert asked() == [stored["Quay"], stored["Pier 1"]]
    assert asked(unique_id=" Pier  1") == [stored["Pier 1"]]
    assert [one.name for one in asked(history=history)] == ["y"]
    for body, reason in (
        ({"unique_id": "pier"}, "no series 'pier' is stored; there are 'Quay', 'Pier 1'"),
        ({"unique_id": ""}, "no series '' is stored; there are 'Quay', 'Pier 1'"),
        ({"unique_id": "Quay", "history": history}, "asks for a stored series; leave it or the"),
    ):
        with pytest.raises(HTTPException) as error:
            asked(**body)
        [problem] = error.value.detail
        assert (error.value.status_code, problem["loc"]) == (422, ["body", "unique_id"])
        assert problem["msg"].startswith(reason)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SeriesRequest(unique_ids="Quay")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_forecast_that_is_not_finite_is_an_error(value):
    questions = [Question(series(name), 2, 12) for name in ("Quay", "Pier")]
    answers = [np.ones((2, 5)), np.ones((2, 5))]
    check_finite(questions, answers)
    answers[1][1, 3] = value
    with pytest.raises(HTTPException) as error:
        check_finite(questions, answers)
    [problem] = error.value.detail
    assert (error.value.status_code, problem["loc"]) == (422, ["body", "history"])
    assert problem["msg"].startswith("series 'Pier' has values that the model cannot compute")


@pytest.mark.parametrize(
    ("changes", "end"),
    [({}, ""), ({"timezone": "Europe/London"}, "Z"), ({"offsets": True}, "Z")],
    ids=["as given", "zone", "offsets"],
)
def test_moments_are_written_in_utc_if_the_zone_is_known(changes, end):
    rows = history_of(series(length=2), grid(**changes))
    assert [row["ds"] for row in rows] == [f"2024-03-01T0{hour}:00:00{end}" for hour in range(2)]
    assert list(rows[0]) == ["ds", "y", "rain", "event"]


def test_a_history_names_its_series_if_that_has_a_name():
    rows = history_of(series("Pier & Co", AT_LEAST), grid())
    assert {row["unique_id"] for row in rows} == {"Pier & Co"}
