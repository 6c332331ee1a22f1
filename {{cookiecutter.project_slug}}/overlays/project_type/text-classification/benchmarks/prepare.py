"""Measures whether the data stage takes more rows in stride: python benchmarks/prepare.py.

Prepares 100,000 and 1,000,000 made-up rows, each a mix of the words in `data/processed/`, with as
many classes as there are and ten rows to a group. Takes about three minutes; needs 2 GB of memory.
"""

import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

PACKAGE = "{{ cookiecutter.package_name }}"
TRAIN = Path("data/processed/train.parquet")
ROWS = (100_000, 1_000_000)
WORDS = (6, 25)  # of a text
ROWS_A_GROUP = 10
MAX_TIMES = 1.3  # what a row may cost among the most rows, of what it costs among the fewest
MAX_MEMORY_GB = 2
SETTINGS = {
    "sha256": "null",
    "test_source": "null",
    "text_column": "text",
    "label_column": "label",
    "group_column": "group",
}


def main() -> None:
    if not TRAIN.is_file():
        sys.exit(f"error: {TRAIN} is not here; run the data stage first")
    texts = pd.read_parquet(TRAIN)
    words = sorted({word for text in texts["text"] for word in text.split()})
    labels = sorted(texts["label"].unique())
    costs, peaks = [], []
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.csv"
            write_rows(file, rows, words, labels)
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


def write_rows(path: Path, rows: int, words: list[str], labels: list[str]) -> None:
    """Write a CSV file with the columns text, label and group, the same each time."""
    chance = random.Random(1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "group"])
        for _ in range(rows):
            text = " ".join(chance.choices(words, k=chance.randint(*WORDS)))
            group = chance.randrange(rows // ROWS_A_GROUP)
            writer.writerow([text, chance.choice(labels), f"group {group}"])


def prepare(file: Path) -> tuple[float, int]:
    """Run the data stage on a file, in the file's folder; return seconds and bytes at the peak."""
    (file.parent / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    settings = {**SETTINGS, "source": file.name}
    options = [part for k, v in settings.items() for part in ("--set", f"data.{k}={v}")]
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
