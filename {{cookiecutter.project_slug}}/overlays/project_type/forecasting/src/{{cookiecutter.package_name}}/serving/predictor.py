"""The exported model, loaded: what evaluation scores is this, and what the API serves is this."""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import Gauge

from ..errors import UserError
from ..features import Inputs, Series, Shape, Windows
from ..params import Serve
from ..timegrid import parse_freq
from .exported import Exported

STORED = Gauge("stored_history_end_timestamp_seconds", "The last moment that is stored")
MAX_COST = 64  # windows answered together: more would hold up the next batch, and gain little
BATCH_SIZE = 256


@dataclass(frozen=True)
class Question:
    """One series to go on with, and for how many steps; its length is what answering it costs."""

    series: Series
    h: int
    horizon: int

    def __len__(self) -> int:
        return -(-self.h // self.horizon)


class Predictor(Exported):
    """Series in, quantiles of what comes next out."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serve) -> None:
        super().__init__(folder, manifest, settings)
        self.shape = Shape(**manifest["shape"])
        self.levels: list[float] = manifest["levels"]  # of the quantiles, ascending
        self.positive: bool = manifest["positive"]
        step = parse_freq(self.shape.freq)
        self.stored = {one.name: one for one in read_history(folder / "history.csv", self.shape)}
        last = max(one.start + (len(one.y) - 1) * step for one in self.stored.values())
        STORED.set(last.astype(int))

    def warm_up(self) -> None:
        """Answer once."""
        self.predict([next(iter(self.stored))])

    def quantiles(self, inputs: Inputs) -> np.ndarray:
        """Return quantiles of each step of windows, float32 (windows, horizon, levels)."""
        rows = len(inputs.history)
        parts = [
            self._session.run(
                ["quantiles"],
                {
                    name: array[start : start + BATCH_SIZE]
                    for name, array in inputs._asdict().items()
                },
            )[0]
            for start in range(0, rows, BATCH_SIZE)
        ]
        return np.concatenate(parts)

    def prepare(self, questions: list[Question]) -> list[Question]:
        """Return what the model takes for each question: itself."""
        return questions

    def answer(self, questions: list[Question]) -> list[np.ndarray]:
        """Return quantiles for each question, float32 (h, levels).

        Beyond the horizon the model goes on from its own median, as if that had come.
        """
        series, whole = [question.series for question in questions], []
        for _ in range(max(map(len, questions))):
            windows = Windows(series, self.shape)
            ends = np.array([len(one.y) for one in series])
            quantiles = self.quantiles(windows.inputs(np.arange(len(series)), ends))
            whole.append(quantiles)
            middle = quantiles[:, :, self.levels.index(0.5)]
            series = [_longer(one, y) for one, y in zip(series, middle, strict=True)]
        together = np.concatenate(whole, axis=1)
        return [rows[: question.h] for rows, question in zip(together, questions, strict=True)]

    def answer_many(self, questions: list[Question]) -> list[np.ndarray]:
        """Return quantiles for each of any number of questions, a part at a time."""
        parts = range(0, len(questions), BATCH_SIZE)
        return [one for at in parts for one in self.answer(questions[at : at + BATCH_SIZE])]

    def forecast(self, question: Question) -> list[dict[str, Any]]:
        """Return ds, y_hat and the intervals of each step that one question asks for."""
        [quantiles] = self.answer([question])
        return rows_of(question, quantiles, self.shape, self.levels)

    def predict(self, names: list[str]) -> list[list[dict[str, Any]]]:
        """Return how stored series go on for a horizon; raises `UserError` for an unknown one."""
        horizon = self.shape.horizon
        unknown = [name for name in names if name not in self.stored]
        if unknown:
            known = ", ".join(map(repr, list(self.stored)[:5]))
            raise UserError(f"{unknown[0]!r}: no such series is stored; there are {known}")
        return [self.forecast(Question(self.stored[name], horizon, horizon)) for name in names]


def questions_of(windows: Windows, which: np.ndarray, at: np.ndarray) -> list[Question]:
    """Return what a client would ask at the origin of each window: index `at` of series `which`."""
    horizon = windows.shape.horizon
    cut = [windows.before(*window) for window in zip(which, at, strict=True)]
    return [Question(series, horizon, horizon) for series in cut]


def rows_of(
    question: Question, quantiles: np.ndarray, shape: Shape, levels: list[float]
) -> list[dict[str, Any]]:
    """Return quantiles (h, levels) as rows of ds, y_hat, lo_80, hi_80, lo_95 and hi_95."""
    series, step = question.series, parse_freq(shape.freq)
    moments = series.start + step * (len(series.y) + np.arange(len(quantiles)))
    names = {0.5: "y_hat", 0.1: "lo_80", 0.9: "hi_80", 0.025: "lo_95", 0.975: "hi_95"}
    order = ("y_hat", "lo_80", "hi_80", "lo_95", "hi_95")
    rows = []
    for moment, values in zip(moments, quantiles, strict=True):
        named = {names[level]: float(value) for level, value in zip(levels, values, strict=True)}
        rows.append({"ds": written(moment, shape), **{name: named[name] for name in order}})
    return rows


def written(moment: np.datetime64, shape: Shape) -> str:
    """Return a moment as people write it: in UTC if the zone is known, else as it was given."""
    return f"{moment}Z" if shape.timezone else str(moment)


def read_history(path: Path, shape: Shape) -> Iterator[Series]:
    """Yield the end of each series that was known when the model was trained."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, group in itertools.groupby(rows, key=lambda row: row["unique_id"]):
        own = list(group)
        yield Series(
            name=name,
            start=np.datetime64(own[0]["ds"], "s"),
            y=np.array([row["y"] for row in own], np.float64),
            past=np.array([[row[c] for c in shape.past_columns] for row in own], np.float32),
            future=np.array([[row[c] for c in shape.future_columns] for row in own], np.float32),
            observed=np.ones(len(own), dtype=bool),
        )


def _longer(series: Series, y: np.ndarray) -> Series:
    """Return the series with these values after its end, and its last past covariates with them."""
    steps = len(y)
    return replace(
        series,
        y=np.concatenate([series.y, y]),
        past=np.concatenate([series.past, np.repeat(series.past[-1:], steps, axis=0)]),
        observed=np.concatenate([series.observed, np.ones(steps, dtype=bool)]),
    )
