"""Scores, checked against other implementations of the same number."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from {{cookiecutter.package_name}}.evaluation.scores import (
    coverage_curve,
    expected_calibration_error,
    macro_f1,
)


@pytest.mark.parametrize("seed", range(20))
def test_macro_f1_is_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    n_classes = int(random.integers(2, 8))
    # Some classes have no row, some no prediction, some neither.
    targets = random.choice(random.integers(0, n_classes, size=4), size=60)
    predictions = np.where(random.random(60) < 0.6, targets, random.integers(0, n_classes, 60))
    expected = f1_score(targets, predictions, average="macro")
    assert macro_f1(targets, predictions, n_classes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 0.0), ([0, 0, 0, 0], 1 / 3), ([2, 2, 2, 2], 0.0)],
    ids=["all right", "all wrong", "always one class", "a class that does not occur"],
)
def test_macro_f1_at_its_extremes(predictions, expected):
    score = macro_f1(np.array([0, 0, 1, 1]), np.array(predictions), 3)
    assert score == pytest.approx(expected)


def calibration_error_row_by_row(confidence, is_right, bins=15):
    total = 0.0
    for number in range(bins):
        inside = []
        for value, hit in zip(confidence, is_right, strict=True):
            last = number == bins - 1
            if number / bins <= value < (number + 1) / bins or (last and value == 1.0):
                inside.append((value, float(hit)))
        if inside:
            mean, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(confidence) * abs(mean - accuracy)
    return total


@pytest.mark.parametrize("seed", range(10))
def test_calibration_error_is_that_of_a_plain_loop(seed):
    random = np.random.default_rng(seed)
    confidence = random.dirichlet(np.full(4, 0.4), size=80).max(axis=1)
    confidence[:3] = 1.0
    is_right = random.random(80) < confidence
    expected = calibration_error_row_by_row(confidence, is_right)
    assert expected_calibration_error(confidence, is_right) == pytest.approx(expected)


def test_calibration_error_at_its_extremes():
    sure, right = np.ones(4), np.array([True] * 4)
    assert expected_calibration_error(sure, right) == 0
    assert expected_calibration_error(sure, ~right) == 1
    mostly = np.array([True, True, True, False])
    assert expected_calibration_error(np.full(4, 0.75), mostly) == pytest.approx(0)


@pytest.mark.parametrize("seed", range(5))
def test_the_coverage_curve_is_that_of_cutting_at_each_row(seed):
    random = np.random.default_rng(seed)
    confidence, is_right = random.random(50), random.random(50) < 0.7
    coverage, precision = coverage_curve(confidence, is_right)
    for position, cut in enumerate(np.sort(confidence)[::-1]):
        inside = confidence >= cut
        assert coverage[position] == pytest.approx(inside.mean())
        assert precision[position] == pytest.approx(is_right[inside].mean())
