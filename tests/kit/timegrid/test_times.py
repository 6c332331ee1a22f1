"""Times mean the same moment however they are written, and unclear ones are rejected."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import times

FIELD = "data.time_column 'ts' of hires.csv"
LONDON = "Europe/London"


def parse(column, timezone=None, names="y", freq="h"):
    """Return rows as a reader returns them, with their moments."""
    rows = pd.DataFrame({"ds": column})
    rows = rows.assign(unique_id=names, line=np.arange(len(rows)) + 2)
    return rows.assign(ds=times.moments(rows, freq, timezone, FIELD)[0])


def moments(column, timezone=None, freq="h"):
    """Return the moments of a column of times, as text."""
    found = parse(column, timezone, freq=freq)["ds"]
    assert found.dtype == "datetime64[s]"
    return [str(moment).replace(" ", "T") for moment in found]


@pytest.mark.parametrize(
    "column",
    [
        ["2024-05-01 22:00", "2024-05-01 23:00"],
        ["2024-05-01T22:00", "2024-05-01T23:00:00"],
        ["2024-05-01T22:00Z", "2024-05-01T23:00:00Z"],
        ["2024-05-02T00:00+02:00", "2024-05-02T00:00+01:00"],
        ["2024-05-02 03:30:00+0530", "2024-05-01 16:00:00.000-07"],
        pd.to_datetime(["2024-05-01 22:00", "2024-05-01 23:00"]),
        pd.to_datetime(["2024-05-02 00:00", "2024-05-02 01:00"]).tz_localize("Europe/Paris"),
    ],
    ids=["space", "T", "Z", "mixed offsets", "other offsets", "timestamps", "zoned timestamps"],
)
def test_times_without_an_offset_stay_and_those_with_one_become_utc(column):
    expected = ["2024-05-01T22:00:00", "2024-05-01T23:00:00"]
    assert moments(column) == moments(pd.Series(column).astype("category")) == expected


def test_dates_are_midnights():
    expected = ["2024-05-01T00:00:00", "2024-05-02T00:00:00"]
    dates = pd.to_datetime(pd.Series(expected)).dt.date
    assert moments(dates) == moments(dates.astype(str)) == expected


@pytest.mark.parametrize(
    "bad", ["soon", "1/2/2024", "2024-02-30", "2024-05-01 25:00", "2024", "12", "<b>"]
)
def test_unreadable_times_are_counted_and_three_are_shown(bad):
    with pytest.raises(UserError) as error:
        moments(["2024-05-01", bad, bad, "2024-05-02", bad, bad])
    shown = "; ".join(f"series 'y', line {line}: {bad!r}" for line in (3, 4, 6))
    assert str(error.value) == (
        f"{FIELD}: 4 rows ({shown}; ...) are not in ISO 8601 with year, month and day, such as "
        "2024-05-01 13:00"
    )


def test_numbers_are_not_times():
    with pytest.raises(UserError, match=r"2 rows \(.*: '1714564800'; .*\) are not in ISO 8601"):
        moments([1714564800, 1714568400])


def test_times_with_and_without_an_offset_are_not_mixed():
    with pytest.raises(UserError, match=r"1 row \(.* line 3: .*\) is without an offset"):
        moments(["2024-05-01T00:00Z", "2024-05-01T01:00", "2024-05-01T02:00Z"])


def test_parts_of_a_second_are_rejected():
    with pytest.raises(UserError, match=r"1 row \(.*\) is not at a whole second"):
        moments(["2024-05-01T00:00:00", "2024-05-01T00:00:01.5"])


@pytest.mark.parametrize("column", [["1492-10-12", "9999-12-31"], pd.Series(["9999-12-31"] * 2)])
def test_years_that_libraries_cannot_compute_with_are_rejected(column):
    stamps = pd.Series(np.array(column, "datetime64[s]"))
    for kind in (column, stamps, stamps.dt.tz_localize("UTC")):
        with pytest.raises(UserError, match=r"2 rows .* are outside of the years 1700 to 2199$"):
            moments(kind)


def test_missing_times_stay_missing():
    assert moments(["2024-05-01", None]) == ["2024-05-01T00:00:00", "NaT"]
    assert moments(pd.to_datetime(["2024-05-01", None]), LONDON) == ["2024-04-30T23:00:00", "NaT"]


def test_local_times_become_utc():
    local = ["2024-01-01 12:00", "2024-07-01 12:00"]
    assert moments(local, LONDON) == ["2024-01-01T12:00:00", "2024-07-01T11:00:00"]
    assert moments(pd.to_datetime(local), LONDON) == moments(local, LONDON)


def test_an_offset_counts_more_than_the_zone():
    zoned = ["2024-07-01T12:00Z", "2024-07-01T13:00Z"]
    assert moments(zoned, LONDON) == ["2024-07-01T12:00:00", "2024-07-01T13:00:00"]


@pytest.mark.parametrize("zone", [None, "America/New_York"])
@pytest.mark.parametrize(
    "column",
    [
        ["2024-04-01T00Z", "2024-04-01T01Z"],
        ["20240401T000000Z", "20240401T010000Z"],
        ["20240401T0000Z", "20240401T0100Z"],
        ["2024-03-31T20-04", "2024-03-31T21-04"],
        ["20240331T20-0400", "20240331T21-0400"],
        ["2024-04-01T00:00Z", "2024-03-31 21-04:00"],
    ],
    ids=", ".join,
)
def test_an_offset_is_seen_in_each_form_and_counts_once(column, zone):
    assert moments(column, zone) == ["2024-04-01T00:00:00", "2024-04-01T01:00:00"]


@pytest.mark.parametrize(
    "mixed", [["2024-03-31T20-04", "2024-03-31T21"], ["20240331T00Z", "20240331"]]
)
@pytest.mark.parametrize("freq", ["h", "D"])
def test_rows_with_and_without_an_offset_do_not_mix_in_any_form(mixed, freq):
    with pytest.raises(UserError, match=r"1 row \(.* line 3: .*\) is without an offset, which"):
        moments(mixed, LONDON, freq)


DAYS = ["2018-11-02", "2018-11-03", "2018-11-04", "2018-11-05"]  # a midnight that Brazil skipped
MIDNIGHTS = [f"{day}T00:00:00" for day in DAYS]


@pytest.mark.parametrize("freq", ["D", "24h", "W", "2W"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("offset", ["", "Z", "+09:00", "-0500", "+13:45"])
def test_whole_days_are_the_dates_as_written(offset, zone, freq):
    assert moments([f"{day}T00:00{offset}" for day in DAYS], zone, freq) == MIDNIGHTS
    if offset == "":
        assert moments(DAYS, zone, freq) == moments(pd.to_datetime(DAYS), zone, freq) == MIDNIGHTS


ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "UTC", "+09:00"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ZONES)
def test_whole_days_of_a_column_with_a_zone_are_the_dates_there(zone, unit):
    """Each column is as a Parquet file has it: its days begin when its clocks say so."""
    local = pd.Series(pd.to_datetime(DAYS[:2] if "Sao" in zone else DAYS).as_unit(unit))
    column = local.dt.tz_localize(zone, ambiguous=np.ones(len(local), bool))  # the first midnight
    Path("days.parquet").unlink(missing_ok=True)
    pq.write_table(pa.table({"ds": pa.Array.from_pandas(column)}), "days.parquet")
    read = pq.read_table("days.parquet").to_pandas()["ds"]
    assert read.dt.tz is not None
    assert moments(read, None, "D") == MIDNIGHTS[: len(local)]
    assert moments(read, "America/New_York", "D") == MIDNIGHTS[: len(local)]


@pytest.mark.parametrize("zone", [*ZONES[:4], "Europe/London", "America/Santiago"])
def test_days_that_are_written_in_utc_are_those_of_the_zone(zone):
    """Also where clocks skip a midnight: then the day begins at one."""
    days = [date(2018, 1, 1) + timedelta(days=number) for number in range(730)]
    starts = [datetime(*day.timetuple()[:3], tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in days]
    expected = [f"{day}T00:00:00" for day in days]
    for column in ([one.isoformat() for one in starts], pd.Series(starts)):
        assert moments(column, zone, "D") == expected
    local = [one.astimezone(ZoneInfo(zone)).isoformat() for one in starts]
    assert moments(local, zone, "D") == expected


def test_days_that_begin_in_the_morning_keep_their_hour():
    gas = [f"{day}T06:00:00+0{hours}:00" for day, hours in (("2024-03-30", 1), ("2024-03-31", 2))]
    found = ["2024-03-30T06:00:00", "2024-03-31T06:00:00"]
    assert moments(gas, "Europe/Berlin", "D") == found


@pytest.mark.parametrize("column", [["2022-12-31T15:00Z"] * 2, ["2024-05-01T06:00+02:00"] * 2])
def test_days_that_do_not_begin_at_midnight_are_unclear_without_a_zone(column):
    for kind in (column, pd.to_datetime(pd.Series(column))):
        with pytest.raises(UserError) as error:
            moments(kind, None, "D")
        assert str(error.value).endswith(
            ") are not at midnight, so the day is unclear; write plain dates, or set data.timezone "
            "to the zone of the days"
        )


def test_hours_are_not_taken_for_days():
    """So the check of the steps can say what they are."""
    hours = [f"2024-05-01T{hour:02}:00+02:00" for hour in range(24)]
    assert len(set(moments(hours, None, "D"))) == 24


SPRING = ["2024-03-31 00:00", "2024-03-31 02:00", "2024-03-31 03:00"]
AUTUMN = ["2024-10-27 00:30", "2024-10-27 01:30", "2024-10-27 01:30", "2024-10-27 02:30"]


def test_the_hour_that_spring_skips_is_not_a_gap():
    utc = moments(SPRING, LONDON)
    assert utc == ["2024-03-31T00:00:00", "2024-03-31T01:00:00", "2024-03-31T02:00:00"]


def test_the_hour_that_autumn_repeats_is_not_a_duplicate():
    utc = moments(AUTUMN, LONDON)
    assert utc == [f"2024-10-2{day}:30:00" for day in ("6T23", "7T00", "7T01", "7T02")]


def test_the_hour_that_autumn_repeats_is_told_apart_in_each_series():
    rows = [(time, dock) for dock in ("a", "b") for time in AUTUMN]
    alternating = [(time, dock) for time in AUTUMN for dock in ("a", "b")]
    for order in (rows, alternating):
        column, names = zip(*order, strict=True)
        for _, series in parse(column, LONDON, names).groupby("unique_id"):
            assert (series["ds"].diff().dropna() == pd.Timedelta("1h")).all()


def test_a_year_of_local_time_is_a_year_of_utc():
    utc = pd.date_range("2023-01-01", "2023-12-31 23:00", freq="h", tz="UTC")
    local = utc.tz_convert("America/New_York").tz_localize(None)
    assert parse(local, "America/New_York")["ds"].tolist() == utc.tz_localize(None).tolist()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (
            ["2024-03-31 00:30", "2024-03-31 01:30"],
            "line 3: .* is in the hour that the clocks of E.* skip",
        ),
        (
            [AUTUMN[0], AUTUMN[1], AUTUMN[3]],
            "is there once, in the hour that the clocks of E.* repeat",
        ),
        (
            [AUTUMN[1], AUTUMN[0], AUTUMN[3], AUTUMN[2]],
            "out of order, so the hour that the clocks of",
        ),
    ],
    ids=["spring", "autumn", "shuffled autumn"],
)
def test_ambiguous_local_times_are_rejected(column, reason):
    with pytest.raises(UserError, match=f"^{FIELD}: .*{reason}"):
        moments(column, LONDON)
