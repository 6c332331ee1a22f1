"""What the API has logged: answers of one model, and requests that it refused."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from ..serving.prediction_log import NAME

MIN_ROWS = 100  # fewer say nothing


@dataclass(frozen=True)
class Served:
    """The newest answers, oldest first, and what went wrong in their time."""

    answers: list[dict[str, Any]]
    refused: list[list[str]]  # of each request that did not fit, the fields
    unreadable: int  # lines of the log, of any time

    @property
    def requests(self) -> int:
        """Return the number of requests, those that were refused included."""
        return len({one["id"].rpartition("/")[0] for one in self.answers}) + len(self.refused)

    @property
    def fields(self) -> dict[str, int]:
        """Return how many requests were refused for each field, the most frequent first."""
        return dict(Counter(field for fields in self.refused for field in fields).most_common())

    def signals(self, names: list[str]) -> pd.DataFrame:
        """Return the signals of each answer."""
        return pd.DataFrame([one["signals"] for one in self.answers], columns=names)


def read(folder: str | None, version: str, rows: int) -> Served:
    """Return the newest answers of a model, at most so many; raise `UserError` if they are few."""
    if folder is None:
        raise UserError("serve.log.folder: null here, so nothing is logged; give it a folder")
    # Of the rotated files the one with the highest number is the oldest.
    files = sorted(Path(folder).glob(f"{NAME}*"), key=lambda file: (len(file.name), file.name))
    answers, refused, unreadable = [], [], 0
    for line in _lines(files[::-1]):
        if line is None:
            unreadable += 1
        elif line["model_version"] != version:
            continue
        elif "refused" in line:
            refused.append(line)
        else:
            answers.append(line)
    answers = answers[-rows:]
    if len(answers) < MIN_ROWS:
        raise UserError(
            f"{Path(folder)}: {len(answers)} answers of model {version} are logged; {MIN_ROWS} "
            "are needed for a comparison (serve.log.folder is where `serve` writes them)"
        )
    start = answers[0]["time"]
    recent = [one["refused"] for one in refused if one["time"] >= start]
    return Served(answers, recent, unreadable)


def _lines(files: list[Path]) -> Iterator[dict[str, Any] | None]:
    """Yield each line, or None for one that is none of ours: half written, or altered."""
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                    whole = {"time", "model_version"} <= entry.keys() and (
                        "refused" in entry or {"id", "answer", "signals"} <= entry.keys()
                    )
                except (ValueError, AttributeError):
                    whole = False
                yield entry if whole else None
