"""What a calendar says of each moment."""

import threading
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
import numpy as np

from ..errors import UserError
from .frequency import DAY, HOUR, YEAR, parse_freq

HARMONICS = {"day": (1, 2, 3), "year": (1,)}  # few of a cycle that training has seen seldom
HOURS = tuple(map(str, range(24)))
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FILLING = threading.Lock()  # the library computes a year's holidays when first asked for the year


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
    except NotImplementedError as error:  # how the library reports an unknown place
        raise UserError(f"data.holidays: {' '.join(str(error).split()):.200}") from None


def check_calendar(freq: str, timezone: str | None, place: str | None) -> None:
    """Raise `UserError` for an unknown frequency, time zone or place of holidays."""
    parse_freq(freq)
    if place is not None:
        public_holidays(place)
    if timezone is not None:
        time_zone(timezone)


@dataclass(frozen=True)
class Calendar:
    """What is known of any moment: time of day, weekday, time of year, public holiday."""

    freq: str
    timezone: str | None = None  # moments are UTC, local time is this zone's; None: as given
    holidays: str | None = None  # a country, or a country and a part of it, such as US or US-DC
    yearly: bool = True  # whether the time of year is a feature

    @property
    def names(self) -> list[str]:
        """Return the name of each feature."""
        cycles = self._cycles(np.array([], "datetime64[s]"))
        waves = [f"{name} {kind} {n}" for name in cycles for n in HARMONICS[name] for kind in "sc"]
        days = [f"weekday {day}" for day in range(7)] if self._within_a_week() else []
        return [*waves, *days, *(["holiday"] if self.holidays else [])]

    def inputs(self) -> list[str]:
        """Return in words what the features tell."""
        found = [f"time of {name}" for name in self._cycles(np.array([], "datetime64[s]"))]
        found += ["weekday"] if self._within_a_week() else []
        return [*found, *([f"public holidays of {self.holidays}"] if self.holidays else [])]

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

    def groups(self, moments: np.ndarray) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Return groups by hour, weekday and holiday: their names, and which one each of the
        moments (any shape) is in.

        Kinds of groups that tell no moments apart are left out, such as the hour of daily steps.
        """
        local, step = self.local(moments.ravel()), parse_freq(self.freq)
        found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        if step < DAY:
            found["hour"] = HOURS, (local - local.astype("datetime64[D]")) // HOUR
        if self._within_a_week():
            found["weekday"] = WEEKDAYS, self.weekday(local)
        if self.holidays:
            found["holiday"] = ("other day", "holiday"), self.is_holiday(local).astype(int)
        return {kind: (names, of.reshape(moments.shape)) for kind, (names, of) in found.items()}

    def local(self, moments: np.ndarray) -> np.ndarray:
        """Return the wall-clock time of moments, datetime64[s]."""
        if self.timezone is None or self.timezone == "UTC":
            return moments
        hours, places = np.unique(moments.astype("datetime64[h]"), return_inverse=True)
        zone = time_zone(self.timezone)
        offsets = [
            hour.astype("datetime64[s]").item().replace(tzinfo=UTC).astimezone(zone).utcoffset()
            for hour in hours
        ]
        return moments + np.array(offsets, dtype="timedelta64[s]")[places]

    def weekday(self, local: np.ndarray) -> np.ndarray:
        """Return the weekday of each wall-clock time, from 0 for Monday to 6: int (rows,)."""
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
        """Return the phase, from 0 to 1, of each cycle that is longer than two steps."""
        day, step = local.astype("datetime64[D]"), parse_freq(self.freq)
        cycles = {"day": ((local - day) / DAY, DAY)}
        if self.yearly:
            new_year = local.astype("datetime64[Y]").astype("datetime64[D]")
            cycles["year"] = ((day - new_year) / (365.25 * DAY), YEAR)
        return {name: phase for name, (phase, length) in cycles.items() if 2 * step < length}
