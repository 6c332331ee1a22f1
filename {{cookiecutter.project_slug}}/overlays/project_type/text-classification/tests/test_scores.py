"""Scores against other implementations of the same number."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from {{cookiecutter.package_name}}.evaluation import scores


@pytest.mark.parametrize("seed", range(20))
def test_macro_f1_is_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    n_classes = int(random.integers(2, 8))
    # Of some classes there is no row, of some no prediction, of some neither.
    targets = random.choice(random.integers(0, n_classes, size=4), size=60)
    predictions = np.where(random.random(60) < 0.6, targets, random.integers(0, n_classes, 60))
    expected = f1_score(targets, predictions, average="macro")
    assert scores.macro_f1(targets, predictions, n_classes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 0.0), ([0, 0, 0, 0], 1 / 3), ([2, 2, 2, 2], 0.0)],
    ids=["all right", "all wrong", "one class always", "a class that does not occur"],
)
def test_macro_f1_at_its_ends(predictions, expected):
    assert scores.macro_f1(np.array([0, 0, 1, 1]), np.array(predictions), 3) == pytest.approx(
        expected
    )


def calibration_error_row_by_row(targets, probabilities, bins=15):
    total = 0.0
    for number in range(bins):
        inside = []
        for target, row in zip(targets, probabilities, strict=True):
            confidence = max(row)
            last = number == bins - 1
            if number / bins <= confidence < (number + 1) / bins or (last and confidence == 1.0):
                inside.append((confidence, float(np.argmax(row) == target)))
        if inside:
            confidence, hits = np.mean(inside, axis=0)
            total += len(inside) / len(targets) * abs(confidence - hits)
    return total


@pytest.mark.parametrize("seed", range(10))
def test_calibration_error_is_that_of_a_plain_loop(seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(4, 0.4), size=80)
    probabilities[:3] = np.eye(4)[:3]  # some are entirely sure
    targets = random.integers(0, 4, size=80)
    expected = calibration_error_row_by_row(targets, probabilities)
    assert scores.expected_calibration_error(targets, probabilities) == pytest.approx(expected)


def test_calibration_error_at_its_ends():
    sure = np.eye(2)[[0, 1, 0, 1]]
    assert scores.expected_calibration_error(np.array([0, 1, 0, 1]), sure) == 0
    assert scores.expected_calibration_error(np.array([1, 0, 1, 0]), sure) == 1
    fair = np.array([[0.75, 0.25]] * 4)
    assert scores.expected_calibration_error(np.array([0, 0, 0, 1]), fair) == pytest.approx(0)
