"""Checks that `monitor` notices changed series: python -m benchmarks.shifts, in about a minute."""

import sys
from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np

from portfolio_kit.artifacts import PROCESSED, read_manifest
from portfolio_kit.bench import drift
from portfolio_kit.timegrid.series import Question

from {{ cookiecutter.package_name }}.data.prepare import Dataset, read_series
from {{ cookiecutter.package_name }}.data.rolling import origins
from {{ cookiecutter.package_name }}.features import Windows
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Predictor, questions_of
from {{ cookiecutter.package_name }}.project import PROJECT

MOST = 1_200  # windows


def inputs(params: Params) -> list[Question]:
    """Return windows of the validation block, evenly spread."""
    data = read_manifest(PROCESSED, Dataset, made_by="data")
    windows = Windows(read_series(data.shape, "train", "valid"), data.shape)
    return questions_of(windows, origins(windows, *data.boundaries).spread(MOST))


def answers(predictor: Predictor, questions: list[Question]) -> list[np.ndarray]:
    """Return the quantiles of each forecast."""
    return predictor.answer_many(questions)


def changed(change: Callable[[np.ndarray, Random], np.ndarray]) -> drift.Shift:
    """Return a function that changes the values of each series."""

    def all_changed(questions: list[Question], random: Random) -> list[Question]:
        return [
            replace(one, series=replace(one.series, y=change(one.series.y, random)))
            for one in questions
        ]

    return all_changed


def higher(y: np.ndarray, random: Random) -> np.ndarray:
    """Return values that are half as much again."""
    return 1.5 * y


def noisy(y: np.ndarray, random: Random) -> np.ndarray:
    """Return values that are off by about 40%, each by itself."""
    return y * np.random.default_rng(random.randrange(2**32)).lognormal(0, 0.4, len(y))


def stuck(y: np.ndarray, random: Random) -> np.ndarray:
    """Return a sensor that has repeated one value for the last tenth of the time."""
    count = len(y) // 10
    return np.concatenate([y[:-count], np.repeat(y[-count], count)])


SHIFTS = {
    "half as much again": changed(higher),
    "each value off by about 40%": changed(noisy),
    "one value repeated at the end": changed(stuck),
}

if __name__ == "__main__":
    sys.exit(drift.bench(PROJECT, inputs, answers, SHIFTS))
