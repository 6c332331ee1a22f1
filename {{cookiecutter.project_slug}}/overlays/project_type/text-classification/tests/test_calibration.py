"""Temperature and the threshold for review, against scikit-learn and against trying everything."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from {{cookiecutter.package_name}}.evaluation import confidence
from {{cookiecutter.package_name}}.evaluation.scores import reliability
from {{cookiecutter.package_name}}.training.calibration import fit_temperature, review_threshold


class Logits(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its logits."""

    def fit(self, features, targets):
        self.classes_ = np.unique(targets)
        return self

    def decision_function(self, features):
        return features

    def predict(self, features):
        return self.classes_[features.argmax(axis=1)]


@pytest.fixture(params=range(6))
def answers(request):
    """Logits (rows, classes) that are too modest or too sure, and targets (rows,)."""
    random = np.random.default_rng(request.param)
    honest = random.normal(size=(400, 4)) * 2
    targets = np.array([random.choice(4, p=row) for row in softmax(honest, axis=1)])
    return honest * random.choice([0.3, 1.0, 4.0]), targets


def test_the_temperature_is_that_of_scikit_learn(answers):
    logits, targets = answers
    frozen = FrozenEstimator(Logits().fit(logits, targets))
    oracle = CalibratedClassifierCV(frozen, method="temperature").fit(logits, targets)
    ours = softmax(logits / fit_temperature(logits, targets), axis=1)
    np.testing.assert_allclose(ours, oracle.predict_proba(logits), atol=0.01)


def test_no_other_temperature_has_a_lower_loss(answers):
    logits, targets = answers

    def loss(temperature):
        return -log_softmax(logits / temperature, axis=1)[np.arange(400), targets].mean()

    best = loss(fit_temperature(logits, targets))
    assert best <= min(loss(temperature) for temperature in np.geomspace(0.05, 20, 200)) + 1e-3


@pytest.mark.parametrize("rows", [8, 100, 1000])
def test_a_model_that_is_right_about_every_row_stays_a_little_unsure(rows):
    logits = np.tile([2.0, 0.0, 0.0], (rows, 1))
    temperature = fit_temperature(logits, np.zeros(rows, dtype=int))
    assert softmax(logits / temperature, axis=1)[:, 0].mean() == pytest.approx(
        1 - 1 / (rows + 2), abs=1e-4
    )


def test_undoing_the_temperature_gives_what_was_there_before(answers):
    logits, _ = answers
    scaled = softmax(logits / 0.7, axis=1)
    before = confidence.undo_temperature(scaled, 0.7)
    np.testing.assert_allclose(before, softmax(logits, axis=1), atol=1e-9)


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_accepts_as_many_as_the_precision_allows(seed, precision):
    random = np.random.default_rng(seed)
    confidences = random.random(120).round(2)  # with many that are equal
    is_right = random.random(120) < confidences
    threshold = review_threshold(confidences, is_right, precision)

    def accepted(limit):
        return is_right[confidences >= limit]

    allowed = [limit for limit in confidences if accepted(limit).mean() >= precision]
    assert len(accepted(threshold)) == max((len(accepted(limit)) for limit in allowed), default=0)
    if allowed:
        assert accepted(threshold).mean() >= precision


def test_if_nothing_is_precise_enough_everything_needs_review():
    confidences, nothing_right = np.array([0.2, 1.0]), np.array([False, False])
    assert review_threshold(confidences, nothing_right, 0.9) > 1


@pytest.mark.parametrize("seed", range(5))
def test_the_coverage_curve_is_that_of_cutting_at_each_row(seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), size=50)
    targets = random.integers(0, 3, size=50)
    coverage, precision = confidence.coverage_curve(targets, probabilities)
    is_right = probabilities.argmax(axis=1) == targets
    cuts = np.sort(probabilities.max(axis=1))[::-1]
    for position, cut in enumerate(cuts):
        inside = probabilities.max(axis=1) >= cut
        assert coverage[position] == pytest.approx(inside.mean())
        assert precision[position] == pytest.approx(is_right[inside].mean())


def test_bins_of_the_reliability_diagram_hold_every_row_once():
    random = np.random.default_rng(1)
    probabilities = np.vstack([random.dirichlet(np.ones(3), size=200), np.eye(3)])
    targets = random.integers(0, 3, size=203)
    rows, confidences, accuracies = reliability(targets, probabilities)
    assert rows.sum() == 203
    assert (rows * confidences).sum() == pytest.approx(probabilities.max(axis=1).sum())
    assert (rows * accuracies).sum() == (probabilities.argmax(axis=1) == targets).sum()
    edges = np.arange(16) / 15
    filled = rows > 0
    assert (confidences >= edges[:-1])[filled].all()
    assert (confidences <= edges[1:])[filled].all()
