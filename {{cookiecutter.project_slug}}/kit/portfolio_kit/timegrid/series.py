"""One series in memory, and the CSV file that the service continues from."""

import csv
import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .grid import Grid

LARGEST = 1e30  # of a number that a model can compute with
ONLY_SERIES = "y"  # the name of a series that is the only one


def name_of(written: str) -> str:
    """Return the name of a series, however it is padded, spaced or composed in Unicode."""
    return " ".join(unicodedata.normalize("NFC", written).split())


@dataclass(frozen=True)
class Series:
    """One series: its values at every moment of a grid from `start` on."""

    name: str
    start: np.datetime64  # seconds
    y: np.ndarray  # float64 (moments,)
    past: np.ndarray  # float32 (moments, past covariates)
    future: np.ndarray  # float32 (moments, or more, future covariates)
    observed: np.ndarray  # bool (moments,); False: filled in

    def before(self, origin: int, history: int, ahead: int, step: np.timedelta64) -> "Series":
        """Return what is known at an origin: `history` moments before it, and `ahead` from it on
        of the future covariates.
        """
        first = max(0, origin - history)
        return Series(
            name=self.name,
            start=self.start + step * first,
            y=self.y[first:origin],
            past=self.past[first:origin],
            future=self.future[first : origin + ahead],
            observed=self.observed[first:origin],
        )

    def longer(self, y: np.ndarray) -> "Series":
        """Return the series with these values after its end; past covariates stay as they were."""
        return replace(
            self,
            y=np.concatenate([self.y, y]),
            past=np.concatenate([self.past, np.repeat(self.past[-1:], len(y), axis=0)]),
            observed=np.concatenate([self.observed, np.ones(len(y), dtype=bool)]),
        )


@dataclass(frozen=True)
class Question:
    """One series to continue for `h` steps; its length is the cost of answering it, in windows."""

    series: Series
    h: int
    horizon: int

    def __len__(self) -> int:
        return -(-self.h // self.horizon)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two stretches, or 0 if one of them is constant."""
    if len(one) != len(other) or not (one.std() and other.std()):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def read_csv(path: Path, grid: Grid) -> Iterator[Series]:
    """Yield the series of a file with the columns unique_id, ds, y and covariates, in order."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, group in itertools.groupby(rows, key=lambda row: row["unique_id"]):
        own = list(group)
        yield Series(
            name=name,
            start=np.datetime64(own[0]["ds"], "s"),
            y=np.array([row["y"] for row in own], np.float64),
            past=np.array([[row[c] for c in grid.past_columns] for row in own], np.float32),
            future=np.array([[row[c] for c in grid.future_columns] for row in own], np.float32),
            observed=np.ones(len(own), dtype=bool),
        )
