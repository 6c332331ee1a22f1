"""Steps have a fixed length, and the calendar says what a clock on the wall says."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}} import timegrid
from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.timegrid import Calendar, freq_of, parse_freq

FREQS = {"15min": 900, "h": 3600, "6h": 21_600, "D": 86_400, "W": 604_800, "2W": 1_209_600}


def moments(start, count, freq="h"):
    return np.datetime64(start, "s") + parse_freq(freq) * np.arange(count)


def feature(calendar, name, when):
    return calendar.features(when)[:, calendar.names.index(name)]


@pytest.mark.parametrize(("freq", "seconds"), FREQS.items())
def test_a_step_has_a_length(freq, seconds):
    assert parse_freq(freq) == np.timedelta64(seconds, "s")
    assert freq_of(parse_freq(freq)) == freq


def test_lengths_are_named_as_simply_as_possible():
    assert freq_of(pd.Timedelta("90min").to_timedelta64()) == "90min"
    assert freq_of(pd.Timedelta("24h").to_timedelta64()) == "D"
    assert freq_of(pd.Timedelta("90s").to_timedelta64()) == "90 s"
    assert freq_of(pd.Timedelta("500ms").to_timedelta64()) == "0.5 s"


@pytest.mark.parametrize("freq", ["", "0h", "000D", "1.5h", "-1h", "M", "hour", "h\n", "12345h"])
def test_what_is_no_step_of_fixed_length_is_refused(freq):
    with pytest.raises(UserError, match=r"^data.freq: "):
        parse_freq(freq)


@pytest.mark.parametrize("freq", [*FREQS, "12h", "26W", "60W"])
@pytest.mark.parametrize("place", [None, "GB-ENG"])
@pytest.mark.parametrize("yearly", [True, False])
def test_there_is_a_name_for_each_feature(freq, place, yearly):
    calendar = Calendar(freq, None, place, yearly)
    features = calendar.features(moments("2024-02-28", 50, freq))
    assert features.shape == (50, len(calendar.names))
    assert len(set(calendar.names)) == len(calendar.names)
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


def test_waves_come_back_after_a_day():
    calendar = Calendar("h")
    features = calendar.features(moments("2024-05-01", 48))
    day = [i for i, name in enumerate(calendar.names) if name.startswith("day")]
    np.testing.assert_allclose(features[:24, day], features[24:, day], atol=1e-6)
    assert np.linalg.matrix_rank(features[:24, day]) == len(day)


@pytest.mark.parametrize("when", ["1969-12-31 23:00", "2024-02-29", "2024-03-03 23:59:59"])
def test_weekdays_are_those_of_the_calendar(when):
    calendar, moment = Calendar("h"), np.array([np.datetime64(when, "s")])
    weekday = moment[0].item().weekday()
    found = [feature(calendar, f"weekday {day}", moment)[0] for day in range(7)]
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


def test_parts_of_a_country_have_holidays_of_their_own():
    emancipation = moments("2024-04-16", 1, "D")
    assert feature(Calendar("D", None, "US-DC"), "holiday", emancipation)[0] == 1
    assert feature(Calendar("D", None, "US"), "holiday", emancipation)[0] == 0


def test_a_year_that_many_threads_ask_for_at_once_has_its_holidays(monkeypatch):
    known = timegrid.public_holidays("GB")
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


def test_features_do_not_depend_on_what_else_is_asked():
    calendar, when = Calendar("h", "Europe/London", "GB"), moments("2024-03-29", 72)
    together = calendar.features(when)
    apart = np.concatenate([calendar.features(when[i : i + 1]) for i in range(72)])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("name", ["Europe/Lundon", "Europe", "", "../x", "/etc/passwd", "a" * 999])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(UserError, match=r"^data.timezone: there is no zone "):
        timegrid.time_zone(name)


@pytest.mark.parametrize("place", ["XX", "US-XX", "", "us dc"])
def test_an_unknown_place_is_refused(place):
    with pytest.raises(UserError, match=r"^data.holidays: "):
        timegrid.public_holidays(place)


def test_years_are_told_apart_by_their_days():
    calendar = Calendar("D")
    year = calendar.features(moments("2024-01-01", 366, "D"))[:, :6]
    assert len(np.unique(year.round(6), axis=0)) == 366
