"""Measures the time and memory of the data stage on few rows and on many."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# A small, separate process: a child's peak memory includes that of its starter.
STARTER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
ROWS = (100_000, 1_000_000)
MAX_TIMES = 1.3  # cost per row of the most rows, as a multiple of that of the fewest
MAX_MEMORY_GB = 2


def prepare(
    package: str, write_rows: Callable[[Path, int], None], settings: dict[str, str]
) -> None:
    """Run the data stage on CSV files of `ROWS` rows; print the costs and their targets."""
    costs, peaks = [], []
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.csv"
            write_rows(file, rows)
            seconds, peak = run(package, file.parent, {**settings, "data.source": file.name})
        costs.append(seconds / rows)
        peaks.append(peak)
        print(
            f"{rows:>9,} rows: {seconds:6.1f} s, {1e6 * seconds / rows:4.0f} µs per row; "
            f"peak memory {peak / 1e6:5,.0f} MB, {peak / rows:5,.0f} bytes per row",
            flush=True,
        )
    times = costs[-1] / costs[0]
    print(f"time per row: {times:.2f} times that of fewer rows (target: at most {MAX_TIMES})")
    print(f"memory: {peaks[-1] / 1e9:.2f} GB (target: at most {MAX_MEMORY_GB})")


def run(
    package: str, folder: Path, settings: dict[str, str], verb: str = "data"
) -> tuple[float, int]:
    """Run a stage in a folder with some settings; return seconds and peak bytes."""
    (folder / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STARTER, sys.executable, "-m", package, verb, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {verb} failed; the line above says why")
    # KiB, but bytes on macOS.
    return seconds, int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
