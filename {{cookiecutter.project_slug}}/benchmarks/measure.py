"""What a stage costs: its time and memory, in a process of its own, on few rows and on many."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PACKAGE = "{{ cookiecutter.package_name }}"
# A process of its own, and small: the peak of a child counts from the memory of who starts it.
STARTER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
ROWS = (100_000, 1_000_000)
MAX_TIMES = 1.3  # what a row may cost among the most rows, of what it costs among the fewest
MAX_MEMORY_GB = 2


def prepare(write_rows: Callable[[Path, int], None], settings: dict[str, str]) -> None:
    """Run the data stage on CSV files of `ROWS` rows; print what they cost, and what they may."""
    costs, peaks = [], []
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.csv"
            write_rows(file, rows)
            seconds, peak = run("data", file.parent, {**settings, "data.source": file.name})
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


def run(verb: str, folder: Path, settings: dict[str, str]) -> tuple[float, int]:
    """Run a verb in a folder, with the project's parameters but for some settings; return seconds
    and bytes at the peak.
    """
    (folder / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", STARTER, sys.executable, "-m", PACKAGE, verb, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {verb} failed; the line above says why")
    # In kilobytes, but on a Mac in bytes.
    return seconds, int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
