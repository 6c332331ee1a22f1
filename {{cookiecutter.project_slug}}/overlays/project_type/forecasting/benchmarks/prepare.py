"""Measures the data stage on many rows: python -m benchmarks.prepare.

Prepares 100,000 and 1,000,000 made-up rows: hourly series of 10,000 steps each, with a covariate of
either kind, in random order. Takes about half a minute; needs 2 GB of memory.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from portfolio_kit.bench import measure

from {{ cookiecutter.package_name }}.project import PROJECT

ROWS_PER_SERIES = 10_000
SETTINGS = {
    "data.sha256": "null",
    "data.id_column": "dock",
    "data.time_column": "time",
    "data.target_column": "hires",
    "data.future_columns": "[event]",
    "data.past_columns": "[rain]",
    "data.freq": "h",
    "data.timezone": "null",
    "data.positive": "false",
    "horizon": "48",
    "season_lengths": "[24, 168]",
    "model.seasons": "3",
}


def main() -> None:
    measure.prepare(PROJECT.package, write_rows, SETTINGS)


def write_rows(path: Path, rows: int) -> None:
    """Write a CSV file with the columns dock, time, hires, rain and event, the same each time."""
    chance = np.random.default_rng(1)
    hour = np.arange(rows) % ROWS_PER_SERIES
    table = pd.DataFrame(
        {
            "dock": [f"dock {number}" for number in np.arange(rows) // ROWS_PER_SERIES],
            "time": pd.Timestamp("2023-01-01") + pd.to_timedelta(hour, unit="h"),
            "hires": chance.poisson(50 + 30 * np.sin(2 * np.pi * hour / 24)),
            "rain": chance.gamma(0.5, 2.0, rows).round(1),
            "event": chance.integers(2, size=rows),
        }
    )
    table.iloc[chance.permutation(rows)].to_csv(path, index=False)


if __name__ == "__main__":
    main()
