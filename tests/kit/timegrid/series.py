"""What the tests of regular series share."""

import numpy as np

from portfolio_kit.timegrid.grid import Grid
from portfolio_kit.timegrid.series import Series


def grid(**changes):
    """An hourly grid with a past covariate, rain, and one known in advance, event."""
    return Grid(
        **{
            "freq": "h",
            "horizon": 12,
            "timezone": None,
            "holidays": None,
            "yearly": True,
            "past_columns": ["rain"],
            "future_columns": ["event"],
            **changes,
        }
    )


def series(name="y", length=60, start="2024-03-01T00:00:00"):
    """A series of that grid."""
    random = np.random.default_rng(length)
    return Series(
        name=name,
        start=np.datetime64(start, "s"),
        y=random.integers(1, 100, length).astype(np.float64),
        past=random.normal(size=(length, 1)).astype(np.float32),
        future=random.integers(2, size=(length, 1)).astype(np.float32),
        observed=np.ones(length, dtype=bool),
    )
