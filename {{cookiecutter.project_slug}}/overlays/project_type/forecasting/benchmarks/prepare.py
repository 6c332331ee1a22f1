"""Measures whether the data stage takes more rows in stride: python benchmarks/prepare.py.

Prepares 100,000 and 1,000,000 made-up rows: hourly series of 10,000 steps each, with a covariate of
either kind, in no order. Takes about half a minute; needs 2 GB of memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGE = "{{ cookiecutter.package_name }}"
ROWS = (100_000, 1_000_000)
ROWS_A_SERIES = 10_000
MAX_TIMES = 1.3  # what a row may cost among the most rows, of what it costs among the fewest
MAX_MEMORY_GB = 2
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
    costs, peaks = [], []
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.csv"
            write_rows(file, rows)
            seconds, peak = prepare(file)
        costs.append(seconds / rows)
        peaks.append(peak)
        print(
            f"{rows:>9,} rows: {seconds:6.1f} s, {1e6 * seconds / rows:4.0f} µs a row; "
            f"peak memory {peak / 1e6:5,.0f} MB, {peak / rows:5,.0f} bytes a row",
            flush=True,
        )
    times = costs[-1] / costs[0]
    print(f"time a row: {times:.2f} times that of fewer rows (target: at most {MAX_TIMES})")
    print(f"memory: {peaks[-1] / 1e9:.2f} GB (target: at most {MAX_MEMORY_GB})")


def write_rows(path: Path, rows: int) -> None:
    """Write a CSV file with the columns dock, time, hires, rain and event, the same each time."""
    chance = np.random.default_rng(1)
    hour = np.arange(rows) % ROWS_A_SERIES
    table = pd.DataFrame(
        {
            "dock": [f"dock {number}" for number in np.arange(rows) // ROWS_A_SERIES],
            "time": pd.Timestamp("2023-01-01") + pd.to_timedelta(hour, unit="h"),
            "hires": chance.poisson(50 + 30 * np.sin(2 * np.pi * hour / 24)),
            "rain": chance.gamma(0.5, 2.0, rows).round(1),
            "event": chance.integers(2, size=rows),
        }
    )
    table.iloc[chance.permutation(rows)].to_csv(path, index=False)


def prepare(file: Path) -> tuple[float, int]:
    """Run the data stage on a file, in the file's folder; return seconds and bytes at the peak."""
    (file.parent / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    settings = {**SETTINGS, "data.source": file.name}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", PACKAGE, "data", *options],
        cwd=file.parent,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit("error: the data stage failed; the line above says why")
    # In kilobytes, but on a Mac in bytes.
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
