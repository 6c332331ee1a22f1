"""What all series of a model have in common."""

import numpy as np

from ..records import Record
from .calendar import Calendar
from .frequency import parse_freq


class Grid(Record):
    """The step of the series, their calendar, their covariates, and how far to forecast them."""

    horizon: int  # steps
    freq: str
    timezone: str | None  # times without an offset are local to it, moments are UTC
    holidays: str | None
    yearly: bool  # whether there was a year to learn the time of year from
    past_columns: list[str]
    future_columns: list[str]  # known in advance

    @property
    def step(self) -> np.timedelta64:
        """Return the length of a step in seconds."""
        return parse_freq(self.freq)

    @property
    def calendar(self) -> Calendar:
        """Return the calendar of the moments."""
        return Calendar(self.freq, self.timezone, self.holidays, self.yearly)

    def written(self, moment: np.datetime64) -> str:
        """Return a moment as text: in UTC if the zone is known, else as it was given."""
        return f"{moment}Z" if self.timezone else str(moment)
