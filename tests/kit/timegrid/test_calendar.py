"""The calendar agrees with the clock on the wall, in every zone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from timegrid.series import grid

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import calendar
from portfolio_kit.timegrid.calendar import WEEKDAYS, Calendar, check_calendar
from portfolio_kit.timegrid.frequency import parse_freq


def moments(start, count, freq="h"):
    return np.datetime64(start, "s") + parse_freq(freq) * np.arange(count)


def feature(days, name, when):
    return days.features(when)[:, days.names.index(name)]


@pytest.mark.parametrize("freq", ["15min", "h", "6h", "12h", "D", "W", "2W", "26W", "60W"])
@pytest.mark.parametrize("place", [None, "GB-ENG"])
@pytest.mark.parametrize("yearly", [True, False])
def test_there_is_a_name_for_each_feature(freq, place, yearly):
    days = Calendar(freq, None, place, yearly)
    features = days.features(moments("2024-02-28", 50, freq))
    assert features.shape == (50, len(days.names))
    assert len(set(days.names)) == len(days.names)
    assert np.isfinite(features).all()
    assert features.dtype == np.float32


@pytest.mark.parametrize(
    ("freq", "kinds"),
    [("h", {"day", "year", "weekday"}), ("D", {"year", "weekday"}), ("W", {"year"})],
)
def test_only_cycles_longer_than_two_steps_are_features(freq, kinds):
    assert {name.split()[0] for name in Calendar(freq).names} == kinds
    without = Calendar(freq, yearly=False).names
    assert {name.split()[0] for name in without} == kinds - {"year"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"holidays": "GB"}, "time of day; time of year; weekday; public holidays of GB; rain"),
        ({"freq": "W", "past_columns": [], "future_columns": []}, "time of year."),
        ({"freq": "W", "past_columns": [], "future_columns": [], "yearly": False}, "none."),
    ],
)
def test_the_inputs_are_named_and_so_is_what_the_data_did_not_allow(changes, said):
    changes = {"past_columns": ["rain"], "future_columns": ["price"], **changes}
    words = grid(**changes).inputs()
    assert said in words.replace("past values of ", "")
    assert ("price, known in advance" in words) == ("price" in changes["future_columns"])
    assert ("time of year is left out" in words) == (not changes.get("yearly", True))


def test_waves_repeat_after_a_day():
    days = Calendar("h")
    features = days.features(moments("2024-05-01", 48))
    day = [i for i, name in enumerate(days.names) if name.startswith("day")]
    np.testing.assert_allclose(features[:24, day], features[24:, day], atol=1e-6)
    assert np.linalg.matrix_rank(features[:24, day]) == len(day)


@pytest.mark.parametrize("when", ["1969-12-31 23:00", "2024-02-29", "2024-03-03 23:59:59"])
def test_weekdays_are_those_of_the_calendar(when):
    days, moment = Calendar("h"), np.array([np.datetime64(when, "s")])
    weekday = moment[0].item().weekday()
    found = [feature(days, f"weekday {day}", moment)[0] for day in range(7)]
    assert found == [day == weekday for day in range(7)]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Asia/Kolkata"])
@pytest.mark.parametrize("start", ["2024-03-09", "2024-03-30", "2024-10-26", "2024-11-02"])
def test_local_time_is_what_clocks_show_there(zone, start):
    when = moments(start, 96, "30min")
    local = Calendar("30min", zone).local(when)
    expected = [
        datetime.fromisoformat(str(moment)).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        for moment in when
    ]
    assert local.tolist() == [moment.replace(tzinfo=None) for moment in expected]


def test_without_a_zone_times_are_as_given():
    when = moments("2024-03-31", 24)
    assert (Calendar("h").local(when) == when).all()


def test_holidays_are_days_of_local_time():
    utc = moments("2024-07-04", 48)
    eastern = feature(Calendar("h", "America/New_York", "US-DC"), "holiday", utc)
    assert np.flatnonzero(eastern).tolist() == list(range(4, 28))
    plain = feature(Calendar("h", None, "US-DC"), "holiday", utc)
    assert np.flatnonzero(plain).tolist() == list(range(24))


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("offsets", [False, True])
def test_days_have_the_weekdays_and_holidays_of_their_dates_in_every_zone(zone, offsets):
    shape = grid(freq="D", timezone=zone, offsets=offsets, holidays="JP")
    when = moments("2023-11-20", 60, "D")
    days = when.astype("datetime64[D]").tolist()
    expected = {date(2023, 11, 23), date(2024, 1, 1), date(2024, 1, 8)}
    holiday = feature(shape.calendar, "holiday", when)
    assert {day for day, one in zip(days, holiday, strict=True) if one} == expected
    assert shape.calendar.weekday(shape.calendar.local(when)).tolist() == [
        day.weekday() for day in days
    ]
    assert [shape.written(one) for one in when] == [str(day) for day in days]


def test_parts_of_a_country_have_their_own_holidays():
    emancipation = moments("2024-04-16", 1, "D")
    assert feature(Calendar("D", None, "US-DC"), "holiday", emancipation)[0] == 1
    assert feature(Calendar("D", None, "US"), "holiday", emancipation)[0] == 0


def test_a_year_that_many_threads_ask_for_at_once_has_its_holidays(monkeypatch):
    known = calendar.public_holidays("GB")
    fill, threads = known._populate, 4
    start = threading.Barrier(threads)

    def slowly(year):
        time.sleep(0.2)
        fill(year)

    def ask(_):
        start.wait()
        return feature(Calendar("D", None, "GB"), "holiday", moments("2093-12-25", 1, "D"))[0]

    monkeypatch.setattr(known, "_populate", slowly)
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(ask, range(threads))) == [1] * threads


def test_features_do_not_depend_on_the_other_moments():
    days, when = Calendar("h", "Europe/London", "GB"), moments("2024-03-29", 72)
    together = days.features(when)
    apart = np.concatenate([days.features(when[i : i + 1]) for i in range(72)])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize(
    "name", ["Europe/Lundon", "Europe", "", "../x", "/etc/passwd", "BST+1:30", "a" * 999]
)
def test_an_unknown_zone_is_rejected(name):
    with pytest.raises(UserError, match=r"^data.timezone: there is no zone "):
        calendar.time_zone(name)


@pytest.mark.parametrize("place", ["XX", "US-XX", "", "us dc", "Washington"])
def test_an_unknown_place_is_rejected(place):
    with pytest.raises(UserError, match=r"^data.holidays: "):
        calendar.public_holidays(place)


def test_each_day_of_a_year_has_its_own_features():
    days = Calendar("D")
    year = days.features(moments("2024-01-01", 366, "D"))[:, :6]
    assert len(np.unique(year.round(6), axis=0)) == 366


def test_moments_are_grouped_by_hour_weekday_and_holiday_of_local_time():
    when = moments("2024-07-03", 72).reshape(6, 12)
    groups = Calendar("h", "America/New_York", "US").groups(when)
    assert list(groups) == ["hour", "weekday", "holiday"]
    for kind, (names, group) in groups.items():
        assert group.shape == when.shape
        for moment, number in zip(when.ravel(), group.ravel(), strict=True):
            local = moment.item().replace(tzinfo=UTC).astimezone(ZoneInfo("America/New_York"))
            expected = {
                "hour": str(local.hour),
                "weekday": WEEKDAYS[local.weekday()],
                "holiday": "holiday" if (local.month, local.day) == (7, 4) else "other day",
            }
            assert names[number] == expected[kind]


@pytest.mark.parametrize(("freq", "kinds"), [("6h", {"hour", "weekday"}), ("D", {"weekday"})])
def test_groups_that_tell_nothing_apart_are_left_out(freq, kinds):
    assert set(Calendar(freq).groups(moments("2024-05-01", 9, freq))) == kinds
    assert not Calendar("W").groups(moments("2024-05-01", 9, "W"))


def test_the_parameters_of_a_calendar_are_checked():
    check_calendar("30min", "Europe/London", "GB-ENG")
    check_calendar("D", None, None)
    for freq in ("D", "W"):
        check_calendar(freq, "Europe/London", None)
    with pytest.raises(UserError, match=r"^data.freq: "):
        check_calendar("M", None, None)
    with pytest.raises(UserError, match=r"^data.holidays: "):
        check_calendar("h", None, "XX")
    with pytest.raises(UserError, match=r"^data.timezone: there is no zone 'Europe'"):
        check_calendar("h", "Europe", None)
