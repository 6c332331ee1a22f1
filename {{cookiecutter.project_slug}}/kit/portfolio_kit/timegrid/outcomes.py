"""What became of the moments that were forecast."""

from datetime import UTC
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..monitoring import outcomes
from . import iso
from .series import ONLY_SERIES, name_of


def match(answers: list[dict[str, Any]], path: str) -> list[tuple[str, np.ndarray]]:
    """Return the series of each logged answer whose steps have all passed, and its values and
    forecasts, (2, steps).

    path: a CSV file with the columns ds and y, and unique_id if there are several series. Raises
    `UserError` if it cannot be read or covers no answer.
    """
    is_utc = any(moment.endswith("Z") for one in answers for moment, _ in one["answer"]["forecast"])
    known, windows = read(path, is_utc), []
    for one in answers:
        name, steps = one["answer"]["unique_id"], one["answer"]["forecast"]
        values = [known.get((name, pd.Timestamp(moment).tz_localize(None))) for moment, _ in steps]
        if None not in values:
            both = np.array([values, [value for _, value in steps]], dtype=float)
            windows.append((name, both))
    if not windows:
        raise UserError(f"monitor.labels: {path} does not cover any forecast completely")
    return windows


def read(path: str, is_utc: bool) -> dict[tuple[str, pd.Timestamp], float]:
    """Return values by series and moment: in UTC, or else as written, as the API writes them."""
    converters = {"unique_id": name_of, "ds": str}  # 007 stays 007, and 20240501 a date
    table = outcomes.read(path, {"ds", "y"}, converters=converters)
    with outcomes.readable(path):
        moments = [iso.parse(text) for text in table["ds"]]
        values = pd.to_numeric(table["y"])
    if is_utc:
        moments = [one.astimezone(UTC) if one.tzinfo else one for one in moments]
    names = table.get("unique_id", [ONLY_SERIES] * len(table))
    keys = (
        (name, pd.Timestamp(one.replace(tzinfo=None)))
        for name, one in zip(names, moments, strict=True)
    )
    return {key: value for key, value in zip(keys, values, strict=True) if np.isfinite(value)}
