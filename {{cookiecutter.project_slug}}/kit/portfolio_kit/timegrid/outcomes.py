"""What became of the moments that were forecast."""

from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..monitoring import outcomes
from .series import ONLY_SERIES


def match(answers: list[dict[str, Any]], path: str) -> list[tuple[str, np.ndarray]]:
    """Return the series of each logged answer whose steps have all passed, and its values and
    forecasts, (2, steps).

    path: a CSV file with the columns ds and y, and unique_id if there are several series. Raises
    `UserError` if it cannot be read or covers no answer.
    """
    known, windows = read(path), []
    for one in answers:
        name, steps = one["answer"]["unique_id"], one["answer"]["forecast"]
        values = [known.get((name, pd.Timestamp(moment).tz_localize(None))) for moment, _ in steps]
        if None not in values:
            both = np.array([values, [value for _, value in steps]], dtype=float)
            windows.append((name, both))
    if not windows:
        raise UserError(f"monitor.labels: {path} does not cover any forecast completely")
    return windows


def read(path: str) -> dict[tuple[str, pd.Timestamp], float]:
    """Return values by series and moment; times without an offset are as the API writes them."""
    table = outcomes.read(path, {"ds", "y"}, converters={"unique_id": str})  # 007 stays 007
    with outcomes.readable(path):
        moments = pd.to_datetime(table["ds"], utc=True).dt.tz_localize(None)
        values = pd.to_numeric(table["y"])
    names = table.get("unique_id", [ONLY_SERIES] * len(table))
    return dict(zip(zip(names, moments, strict=True), values, strict=True))
