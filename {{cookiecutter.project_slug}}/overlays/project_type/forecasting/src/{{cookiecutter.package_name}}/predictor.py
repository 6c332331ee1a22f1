"""The exported model, loaded: evaluation, serving and monitoring all use this class."""

from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import Gauge

from portfolio_kit import records
from portfolio_kit.errors import UserError
from portfolio_kit.serving.model import OnnxModel
from portfolio_kit.timegrid.origins import Origins
from portfolio_kit.timegrid.series import Question, read_csv
from portfolio_kit.timegrid.serving import Serving

from .features import LEVELS, MEDIAN, Shape, Windows

STORED = Gauge("stored_forecast_end_timestamp_seconds", "The end of forecasts without a history")
BATCH_SIZE = 256
NAMES = ("y_hat", "lo_80", "hi_80", "lo_95", "hi_95")  # in the order of an answer


class Manifest(records.Manifest):
    """The manifest of `models/`."""

    shape: Shape
    windows: dict[str, int]  # of the training and the validation block
    positive: bool  # the model works in logarithms
    nonnegative: bool  # no forecast is below zero
    # How much wider calibration made the 80% and the 95% interval: of all series, and of each one.
    widths: list[float]
    widths_by_series: dict[str, list[float]]


class Predictor(OnnxModel[Manifest]):
    """Maps series to quantiles of what comes next."""

    manifest_type = Manifest
    max_cost = 64  # windows
    levels = tuple(LEVELS)

    def __init__(self, folder: Path, manifest: Manifest, settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        self.shape = shape = manifest.shape
        self.stored = {one.name: one for one in read_csv(folder / "history.csv", shape)}
        last = max(one.start + (len(one.y) - 1) * shape.step for one in self.stored.values())
        STORED.set((last + shape.horizon * shape.step).astype(int))

    def warm_up(self) -> None:
        """Answer once."""
        self.predict([next(iter(self.stored))])

    def quantiles(self, windows: Windows, origins: Origins) -> np.ndarray:
        """Return quantiles of each step of windows, float64 (windows, horizon, levels)."""
        widths, parts = self.widths(windows), []
        for batch in origins.batches(BATCH_SIZE):
            feed = {**windows.inputs(*batch)._asdict(), "widths": widths[batch.which]}
            parts += self._session.run(["quantiles"], feed)
        return np.concatenate(parts)

    def widths(self, windows: Windows) -> np.ndarray:
        """Return how much wider the intervals of each series are made, float32 (series, 2)."""
        known, others = self.manifest.widths_by_series, self.manifest.widths
        return np.array([known.get(one.name, others) for one in windows.series], np.float32)

    def prepare(self, questions: list[Question]) -> list[Question]:
        """Return the questions: the model takes them as they are."""
        return questions

    def answer(self, questions: list[Question]) -> list[np.ndarray]:
        """Return quantiles for each question, (h, levels).

        Beyond the horizon the model continues from its own median, as if that had been observed.
        """
        series, parts = [question.series for question in questions], []
        for _ in range(max(map(len, questions))):
            ends = Origins(np.arange(len(series)), np.array([len(one.y) for one in series]))
            parts.append(self.quantiles(Windows(series, self.shape), ends))
            medians = parts[-1][:, :, MEDIAN]
            series = [one.longer(y) for one, y in zip(series, medians, strict=True)]
        whole = np.concatenate(parts, axis=1)
        return [rows[: question.h] for rows, question in zip(whole, questions, strict=True)]

    def answer_many(self, questions: list[Question]) -> list[np.ndarray]:
        """Return quantiles for each of any number of questions."""
        parts = range(0, len(questions), BATCH_SIZE)
        return [one for at in parts for one in self.answer(questions[at : at + BATCH_SIZE])]

    def forecast(self, question: Question) -> list[dict[str, Any]]:
        """Return ds, y_hat and the intervals of each step that one question asks for."""
        [quantiles] = self.answer([question])
        return rows_of(question, quantiles, self.shape)

    def predict(self, names: list[str]) -> list[list[dict[str, Any]]]:
        """Return a horizon of each stored series; raises `UserError` for an unknown one."""
        horizon = self.shape.horizon
        for name in names:
            if name not in self.stored:
                known = ", ".join(map(repr, list(self.stored)[:5]))
                raise UserError(f"{name!r}: no such series is stored; there are {known}")
        return [self.forecast(Question(self.stored[name], horizon, horizon)) for name in names]


def questions_of(windows: Windows, origins: Origins) -> list[Question]:
    """Return what a client would ask at each origin."""
    shape = windows.shape
    return [
        Question(
            windows.series[which].before(at, shape.history, shape.horizon, shape.step),
            shape.horizon,
            shape.horizon,
        )
        for which, at in zip(*origins, strict=True)
    ]


def rows_of(question: Question, quantiles: np.ndarray, shape: Shape) -> list[dict[str, Any]]:
    """Return quantiles (h, levels) as rows of ds, y_hat, lo_80, hi_80, lo_95 and hi_95."""
    first = question.series.start + shape.step * len(question.series.y)
    rows = []
    for number, values in enumerate(quantiles.tolist()):
        named = dict(zip(LEVELS, values, strict=True))
        moment = shape.written(first + shape.step * number)
        rows.append({"ds": moment, **{name: named[name] for name in NAMES}})
    return rows
