"""What all series of a model have in common."""

import numpy as np

from ..records import Record
from .calendar import Calendar
from .frequency import DAY, is_daily, parse_freq


class Grid(Record):
    """The step of the series, their calendar, their covariates, and how far to forecast them."""

    horizon: int  # steps
    freq: str
    timezone: str | None  # times without an offset are local to it
    offsets: bool = False  # whether times of the data have an offset
    holidays: str | None
    yearly: bool  # whether there was a year to learn the time of year from
    past_columns: list[str]
    future_columns: list[str]  # known in advance

    @property
    def step(self) -> np.timedelta64:
        """Return the length of a step in seconds."""
        return parse_freq(self.freq)

    @property
    def zone(self) -> str | None:
        """Return the zone of local time, where moments are UTC; None if they are as given."""
        if is_daily(self.freq):
            return None
        return self.timezone or ("UTC" if self.offsets else None)

    @property
    def calendar(self) -> Calendar:
        """Return the calendar of the moments."""
        return Calendar(self.freq, self.zone, self.holidays, self.yearly)

    def inputs(self) -> str:
        """Return in words what a model sees of the series, and what the data did not allow."""
        known = [
            *self.calendar.inputs(),
            *(f"past values of {name}" for name in self.past_columns),
            *(f"{name}, known in advance" for name in self.future_columns),
        ]
        seen = f"Inputs apart from past values: {'; '.join(known) or 'none'}."
        if self.yearly:
            return seen
        return f"{seen} The time of year is left out: the training block covers less than a year."

    def written(self, moment: np.datetime64) -> str:
        """Return a moment as text: in UTC if the zone is known, else as given; a day as a date."""
        if is_daily(self.freq) and not moment.astype(int) % DAY.astype(int):
            return str(moment.astype("datetime64[D]"))
        return f"{moment}Z" if self.zone else str(moment)
