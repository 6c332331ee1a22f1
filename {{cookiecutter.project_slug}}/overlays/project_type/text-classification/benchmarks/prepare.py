"""Measures the data stage on many rows: python -m benchmarks.prepare.

Prepares 100,000 and 1,000,000 made-up rows, each a mix of the words in `data/processed/`, with the
same classes and ten rows per group. Takes about three minutes; needs 2 GB of memory.
"""

import csv
import random
import sys
from functools import partial
from pathlib import Path

import pandas as pd

from portfolio_kit.bench import measure

from {{ cookiecutter.package_name }}.project import PROJECT

TRAIN = Path("data/processed/train.parquet")
WORDS = (6, 25)  # of a text
ROWS_PER_GROUP = 10
SETTINGS = {
    "data.sha256": "null",
    "data.test_source": "null",
    "data.text_column": "text",
    "data.label_column": "label",
    "data.group_column": "group",
}


def main() -> None:
    if not TRAIN.is_file():
        sys.exit(f"error: {TRAIN}: missing; run `make data`")
    texts = pd.read_parquet(TRAIN)
    words = sorted({word for text in texts["text"] for word in text.split()})
    labels = sorted(texts["label"].unique())
    measure.prepare(PROJECT.package, partial(write_rows, words=words, labels=labels), SETTINGS)


def write_rows(path: Path, rows: int, words: list[str], labels: list[str]) -> None:
    """Write a CSV file with the columns text, label and group, the same each time."""
    chance = random.Random(1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "group"])
        for _ in range(rows):
            text = " ".join(chance.choices(words, k=chance.randint(*WORDS)))
            group = chance.randrange(rows // ROWS_PER_GROUP)
            writer.writerow([text, chance.choice(labels), f"group {group}"])


if __name__ == "__main__":
    main()
