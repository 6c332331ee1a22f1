"""Turns a column of times into moments: UTC if a zone is known, else as given."""

from collections.abc import Callable

import pandas as pd

from ..errors import UserError
from .calendar import time_zone
from .checks import describe

OFFSET = r":.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
NOT_ISO = "not in ISO 8601, such as 2024-05-01 13:00"

Reject = Callable[[pd.Series, str], None]  # raises `UserError` for some rows, for a reason


def moments(rows: pd.DataFrame, timezone: str | None, field: str) -> pd.Series:
    """Return the times `ds` of rows as datetime64[s].

    They are UTC if they have offsets, or else local to `timezone`; without one they stay as they
    are. Raises `UserError` for times that are not ISO 8601 or not clear; missing ones stay missing.
    """
    times = rows["ds"]

    def reject(bad: pd.Series, reason: str) -> None:
        if bad.any():
            raise UserError(f"{field}: {describe(rows[bad], 'ds')} {reason}")

    if isinstance(times.dtype, pd.DatetimeTZDtype):
        found, has_offsets = times.dt.tz_convert(None), True
    elif pd.api.types.is_datetime64_dtype(times):
        found, has_offsets = times, False
    else:
        found, has_offsets = _parse(times, reject)
    whole = found.astype("datetime64[s]")
    reject((whole != found) & found.notna(), "not at a whole second")
    if has_offsets or timezone is None:
        return whole
    return _from_local(rows.assign(ds=whole), timezone, reject)


def _parse(times: pd.Series, reject: Reject) -> tuple[pd.Series, bool]:
    """Return text as moments, in UTC if it has offsets, and whether it has."""
    if pd.api.types.is_numeric_dtype(times):
        reject(times.notna(), NOT_ISO)
    text = times.astype(object).where(times.notna()).astype(str)
    found = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).dt.tz_convert(None)
    reject(found.isna() & times.notna(), NOT_ISO)
    offset = text.str.contains(OFFSET)
    if offset.any():
        reject(~offset & times.notna(), "without an offset, which other rows have")
    return found, bool(offset.any())


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
