"""Times mean the same moment however they are written, and unclear ones are rejected."""

import numpy as np
import pandas as pd
import pytest

from portfolio_kit.errors import UserError
from portfolio_kit.timegrid import times

FIELD = "data.time_column 'ts' of hires.csv"
LONDON = "Europe/London"


def parse(column, timezone=None, names="y"):
    """Return rows as a reader returns them, with their moments."""
    rows = pd.DataFrame({"ds": column})
    rows = rows.assign(unique_id=names, line=np.arange(len(rows)) + 2)
    return rows.assign(ds=times.moments(rows, timezone, FIELD))


def moments(column, timezone=None):
    """Return the moments of a column of times, as text."""
    found = parse(column, timezone)["ds"]
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
    "bad", ["soon", "1/2/2024", "2024-02-30", "2024-05-01 25:00", "9999-01-01", "12", "<b>"]
)
def test_unreadable_times_are_counted_and_three_are_shown(bad):
    with pytest.raises(UserError) as error:
        moments(["2024-05-01", bad, bad, "2024-05-02", bad, bad])
    shown = "; ".join(f"series 'y', line {line}: {bad!r}" for line in (3, 4, 6))
    assert str(error.value) == (
        f"{FIELD}: 4 rows ({shown}; ...) are not in ISO 8601, such as 2024-05-01 13:00"
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
