"""What may happen to the series that are sent, to see whether `monitor` notices."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np

from {{ cookiecutter.package_name }}.artifacts import PROCESSED, read_manifest
from {{ cookiecutter.package_name }}.data.prepare import read_series
from {{ cookiecutter.package_name }}.evaluation.rolling import origins, spread
from {{ cookiecutter.package_name }}.features import Shape, Windows
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.serving.predictor import Predictor, Question, questions_of

MOST = 1_200  # windows


def inputs(params: Params) -> list[Question]:
    """Return windows of the validation block, evenly spread."""
    data = read_manifest(PROCESSED, made_by="data")
    shape = Shape(**data["shape"])
    windows = Windows(read_series(shape, "train", "valid"), shape)
    start, end = (np.datetime64(data["starts"][name], "s") for name in ("valid", "test"))
    return questions_of(windows, *spread(origins(windows, start, end), MOST))


def answers(predictor: Predictor, questions: list[Question]) -> list[np.ndarray]:
    """Return the quantiles of each forecast."""
    return predictor.answer_many(questions)


def changed(change: Callable[[np.ndarray, Random], np.ndarray]) -> Callable:
    """Return a function that changes the values of each series."""

    def all_changed(questions: list[Question], random: Random) -> list[Question]:
        return [
            replace(one, series=replace(one.series, y=change(one.series.y, random)))
            for one in questions
        ]

    return all_changed


def higher(y: np.ndarray, random: Random) -> np.ndarray:
    """Return half as much again."""
    return 1.5 * y


def noisy(y: np.ndarray, random: Random) -> np.ndarray:
    """Return values that are off by a third or so, each for itself."""
    return y * np.random.default_rng(random.randrange(2**32)).lognormal(0, 0.4, len(y))


def stuck(y: np.ndarray, random: Random) -> np.ndarray:
    """Return a sensor that has repeated one value for the last tenth of the time."""
    stuck = len(y) // 10
    return np.concatenate([y[:-stuck], np.repeat(y[-stuck], stuck)])


SHIFTS = {
    "half as much again": changed(higher),
    "each value off by about 40%": changed(noisy),
    "one value repeated at the end": changed(stuck),
}
