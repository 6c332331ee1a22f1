"""Regular time: steps of a fixed length, and what a calendar says of each."""

import re
import threading
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
import numpy as np

from .errors import UserError

MINUTE, HOUR, DAY = (np.timedelta64(seconds, "s") for seconds in (60, 3600, 86_400))
YEAR = 365 * DAY
UNITS = {"min": MINUTE, "h": HOUR, "D": DAY, "W": 7 * DAY}
HARMONICS = {"day": (1, 2, 3), "year": (1,)}  # what training has seen few of gets few
FILLING = threading.Lock()  # holidays of a year are filled in when the year is first asked for


def parse_freq(freq: str) -> np.timedelta64:
    """Return the length of a step, in seconds; raises `UserError` for what has no fixed length."""
    match = re.fullmatch(r"(\d{0,4})(min|h|D|W)", freq)
    if not match or match[1].strip("0") == "" != match[1]:
        raise UserError(
            f"data.freq: {freq!r} is no step of fixed length; write 30min, h, D or W, for example"
        )
    return int(match[1] or 1) * UNITS[match[2]]


def freq_of(step: np.timedelta64) -> str:
    """Return a step as `parse_freq` reads it, such as 30min; or as "90 s", if it cannot."""
    for freq, unit in reversed(UNITS.items()):
        count, rest = divmod(step, unit)
        if not rest:
            return freq if count == 1 else f"{count}{freq}"
    return f"{step / MINUTE * 60:g} s"


@cache
def time_zone(name: str) -> ZoneInfo:
    """Return a time zone; raises `UserError` if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"data.timezone: there is no zone {name!r}; Europe/London is one") from None


@cache
def public_holidays(place: str) -> holidays.HolidayBase:
    """Return the holidays of a country, or of a part of it; raises `UserError` if it is unknown."""
    country, _, part = place.partition("-")
    try:
        return holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:  # the library's word for a place that it does not know
        raise UserError(f"data.holidays: {' '.join(str(error).split()):.200}") from None


@dataclass(frozen=True)
class Calendar:
    """What is known of any moment: time of day, weekday, season, and whether it is a holiday."""

    freq: str
    timezone: str | None = None  # moments are UTC, and local time is this zone's; None: as given
    holidays: str | None = None  # a country, or a country and a part of it, like US or US-DC
    yearly: bool = True  # the time of year is told

    @property
    def names(self) -> list[str]:
        """Return the name of each feature."""
        cycles = self._cycles(np.array([], "datetime64[s]"))
        waves = [f"{name} {kind} {n}" for name in cycles for n in HARMONICS[name] for kind in "sc"]
        days = [f"weekday {day}" for day in range(7)] if self._within_a_week() else []
        return [*waves, *days, *(["holiday"] if self.holidays else [])]

    def features(self, moments: np.ndarray) -> np.ndarray:
        """Return float32 (rows, features) of datetime64[s] moments (rows,)."""
        local = self.local(moments)
        columns: list[np.ndarray] = []
        for name, phase in self._cycles(local).items():
            for n in HARMONICS[name]:
                columns += [np.sin(2 * np.pi * n * phase), np.cos(2 * np.pi * n * phase)]
        if self._within_a_week():
            weekday = self.weekday(local)
            columns += [weekday == day for day in range(7)]
        if self.holidays:
            columns.append(self.is_holiday(local))
        return np.array(columns, dtype=np.float32).reshape(len(columns), len(moments)).T

    def local(self, moments: np.ndarray) -> np.ndarray:
        """Return the wall-clock time of moments, datetime64[s]."""
        if self.timezone is None:
            return moments
        hours, places = np.unique(moments.astype("datetime64[h]"), return_inverse=True)
        zone = time_zone(self.timezone)
        offsets = [
            hour.astype("datetime64[s]").item().replace(tzinfo=UTC).astimezone(zone).utcoffset()
            for hour in hours
        ]
        return moments + np.array(offsets, dtype="timedelta64[s]")[places]

    def weekday(self, local: np.ndarray) -> np.ndarray:
        """Return for each wall-clock time its weekday, from 0 for Monday to 6: int (rows,)."""
        return (local.astype("datetime64[D]").astype(int) + 3) % 7

    def is_holiday(self, local: np.ndarray) -> np.ndarray:
        """Return for each wall-clock time whether its day is a public holiday: bool (rows,)."""
        days, places = np.unique(local.astype("datetime64[D]"), return_inverse=True)
        known = public_holidays(self.holidays or "")
        with FILLING:
            return np.array([day.item() in known for day in days])[places]

    def _within_a_week(self) -> bool:
        return bool(parse_freq(self.freq) < 7 * DAY)

    def _cycles(self, local: np.ndarray) -> dict[str, np.ndarray]:
        """Return how far each cycle has come that is longer than two steps, from 0 to 1."""
        day, step = local.astype("datetime64[D]"), parse_freq(self.freq)
        cycles = {"day": ((local - day) / DAY, DAY)}
        if self.yearly:
            new_year = local.astype("datetime64[Y]").astype("datetime64[D]")
            cycles["year"] = ((day - new_year) / (365.25 * DAY), YEAR)
        return {name: phase for name, (phase, length) in cycles.items() if 2 * step < length}
