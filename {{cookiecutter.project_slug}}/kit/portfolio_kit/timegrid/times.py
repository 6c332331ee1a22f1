"""Turns a column of times into moments: UTC if a zone is known, else as given."""

from collections.abc import Callable
from datetime import UTC, datetime
from numbers import Number

import numpy as np
import pandas as pd

from ..errors import UserError
from . import iso
from .calendar import time_zone
from .checks import describe
from .frequency import is_daily

Reject = Callable[[pd.Series | np.ndarray, str], None]  # raises `UserError` for some rows


def moments(
    rows: pd.DataFrame, freq: str, timezone: str | None, field: str
) -> tuple[pd.Series, bool]:
    """Return the times `ds` of rows as datetime64[s], and whether they have offsets.

    They are UTC if they have offsets, or else local to `timezone`; without one they stay as they
    are. Those of whole days are local, as `iso.days` returns them. Raises `UserError` for times
    that are not ISO 8601 or not clear; missing ones stay missing.
    """
    times = rows["ds"]

    def reject(bad: pd.Series | np.ndarray, reason: str) -> None:
        if bad.any():
            raise UserError(f"{field}: {describe(rows[bad], 'ds')} {reason}")

    # Distinct times, and the place among them of each row's; a missing one has the place -1.
    places, given = _distinct(times, reject)
    has_offset = np.array([*(one.tzinfo is not None for one in given), False])
    if has_offsets := bool(has_offset.any()):
        reject(~has_offset[places] & times.notna(), iso.MIXED)
    if has_offsets and is_daily(freq):
        given = iso.days(given, time_zone(timezone) if timezone else None)
        if timezone is None and all(one.hour or one.minute for one in given):
            reject(times.notna(), iso.NO_DAY)
    elif has_offsets:
        given = [one.astimezone(UTC).replace(tzinfo=None) for one in given]
    found = pd.Series(np.array([*given, "NaT"], "datetime64[s]")[places], rows.index)
    if has_offsets or timezone is None or is_daily(freq):
        return found, has_offsets
    return _from_local(rows.assign(ds=found), timezone, reject), False


def _distinct(times: pd.Series, reject: Reject) -> tuple[np.ndarray, list[datetime]]:
    """Return the place of each time among the distinct ones, and these."""
    if pd.api.types.is_datetime64_any_dtype(times):
        utc = times if times.dt.tz is None else times.dt.tz_convert(None)
        reject((utc != utc.dt.floor("s")) & utc.notna(), iso.NOT_WHOLE)
        reject(~utc.dt.year.isin(iso.YEARS) & utc.notna(), iso.TOO_FAR)
        places, moments = pd.factorize(times)
        return places, moments.to_pydatetime().tolist()
    values = times.astype(object)
    reject(values.map(lambda one: isinstance(one, Number)) & values.notna(), iso.NOT_ISO)
    places, texts = pd.factorize(values.map(str, na_action="ignore"))
    given: list[datetime] = []
    faults = np.full(len(texts) + 1, None)
    for place, text in enumerate(texts):
        try:
            given.append(iso.parse(text))
        except ValueError as error:
            faults[place] = str(error)
    for reason in filter(None, dict.fromkeys(faults)):
        reject(faults[places] == reason, reason)
    return places, given


def _from_local(rows: pd.DataFrame, timezone: str, reject: Reject) -> pd.Series:
    """Return local times as UTC.

    When clocks go back, an hour of local times comes twice. The first in the file is the earlier
    one, so a file must be in order there.
    """
    zone, local = time_zone(timezone), rows["ds"]
    clocks = f"the clocks of {timezone} (data.timezone)"

    def utc(is_summer: pd.Series) -> pd.Series:
        aware = local.dt.tz_localize(zone, ambiguous=is_summer.to_numpy(), nonexistent="NaT")
        return aware.dt.tz_convert(None)

    first = ~rows.duplicated(["unique_id", "ds"])
    found = utc(first)
    reject(found.isna() & local.notna(), f"in the hour that {clocks} skip")
    unclear = (found != utc(~first)) & local.notna()
    if unclear.any():
        single = unclear & ~rows.duplicated(["unique_id", "ds"], keep=False)
        reject(single, f"there once, in the hour that {clocks} repeat; give times an offset")
        backwards = found.groupby(rows["unique_id"], sort=False).diff() < pd.Timedelta(0)
        backwards &= rows["unique_id"].isin(rows["unique_id"][unclear].unique())
        reject(
            backwards,
            f"out of order, so the hour that {clocks} repeat is ambiguous; sort the rows by time, "
            "or give times an offset",
        )
    return found
