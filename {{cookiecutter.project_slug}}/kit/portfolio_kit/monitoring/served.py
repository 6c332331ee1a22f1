"""Reads the prediction log: answers of one model, and requests that were invalid."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from ..serving.prediction_log import NAME

MIN_ROWS = 100  # fewer prove nothing


@dataclass(frozen=True)
class Served:
    """The newest answers, oldest first, and the invalid requests of the same period."""

    answers: list[dict[str, Any]]
    invalid: list[list[str]]  # per request, its invalid fields
    unreadable: int  # lines of the log, of any time

    @property
    def requests(self) -> int:
        """Return the number of requests, including invalid ones."""
        return len({one["id"].rpartition("/")[0] for one in self.answers}) + len(self.invalid)

    @property
    def fields(self) -> dict[str, int]:
        """Return the number of requests per invalid field, the most frequent first."""
        return dict(Counter(field for fields in self.invalid for field in fields).most_common())

    def signals(self, names: list[str]) -> pd.DataFrame:
        """Return the signals of each answer."""
        return pd.DataFrame([one["signals"] for one in self.answers], columns=names)


def read(folder: str | None, version: str, rows: int) -> Served:
    """Return at most `rows` of a model's newest answers; raises `UserError` if there are few."""
    if folder is None:
        raise UserError("serve.log.folder: is null, so nothing is logged; set it to a folder")
    # Of the rotated files, the one with the highest number is the oldest.
    files = sorted(Path(folder).glob(f"{NAME}*"), key=lambda file: (len(file.name), file.name))
    answers, invalid, unreadable = [], [], 0
    for line in _lines(files[::-1]):
        if line is None:
            unreadable += 1
        elif line["model_version"] != version:
            continue
        elif "invalid" in line:
            invalid.append(line)
        else:
            answers.append(line)
    answers = answers[-rows:]
    if len(answers) < MIN_ROWS:
        raise UserError(
            f"{Path(folder)}: holds {len(answers)} answers of model {version}, and a comparison "
            f"needs {MIN_ROWS} (serve.log.folder is where `serve` writes them)"
        )
    start = answers[0]["time"]
    recent = [one["invalid"] for one in invalid if one["time"] >= start]
    return Served(answers, recent, unreadable)


def _lines(files: list[Path]) -> Iterator[dict[str, Any] | None]:
    """Yield each line, or None for one that is incomplete or altered."""
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                    whole = {"time", "model_version"} <= entry.keys() and (
                        "invalid" in entry or {"id", "answer", "signals"} <= entry.keys()
                    )
                except (ValueError, AttributeError):
                    whole = False
                yield entry if whole else None
