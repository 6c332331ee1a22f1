"""Reads times in ISO 8601: the same forms in files and in requests."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

NOT_ISO = "not in ISO 8601 with year, month and day, such as 2024-05-01 13:00"
NOT_WHOLE = "not at a whole second"
MIXED = "without an offset, which other rows have"
YEARS = range(1700, 2200)  # what the libraries can compute with
TOO_FAR = f"outside of the years {YEARS[0]} to {YEARS[-1]}"
NO_DAY = (
    "not at midnight, so the day is unclear; write plain dates, or set data.timezone to the zone "
    "of the days"
)
# Less than `datetime.fromisoformat` takes: it reads the hour 12.5 as half a second after twelve.
FORM = re.compile(
    r"(?:\d{4}-\d\d-\d\d|\d{8})"
    r"(?:[T ](?!24)\d\d(?:(:?)\d\d(?:\1\d\d([.,]\d+)?)?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
)


def parse(text: str) -> datetime:
    """Return a date or time, with the offset that is written; raises `ValueError` with a reason."""
    text = text.strip().upper().replace("/", "-")
    found = FORM.fullmatch(text)
    if not found:
        raise ValueError(NOT_ISO)
    _, fraction, offset = found.groups("")
    if fraction.strip(".,0"):
        raise ValueError(NOT_WHOLE)
    whole = text.removesuffix(offset).rstrip().removesuffix(fraction)
    try:
        moment = datetime.fromisoformat(whole + offset)
    except ValueError:
        raise ValueError(NOT_ISO) from None
    if moment.year not in YEARS:
        raise ValueError(TOO_FAR)
    return moment


def begins_day(moment: datetime) -> bool:
    """Return whether a time with an offset is the first of its day: midnight, or what clocks show
    after skipping it.
    """
    midnight = moment.replace(hour=0, minute=0, second=0, fold=0)
    return midnight.timestamp() == moment.timestamp()


def days(given: list[datetime], zone: ZoneInfo | None) -> list[datetime]:
    """Return times with offsets, of steps of whole days, as local times without offsets.

    They stay as written, since a day is a date and no moment. Only if some do not begin a day are
    they converted to the zone: the midnights of a place may be written in UTC.
    """
    if zone and not all(map(begins_day, given)):
        given = [one.astimezone(zone) for one in given]
    return [
        datetime(one.year, one.month, one.day) if begins_day(one) else one.replace(tzinfo=None)
        for one in given
    ]
