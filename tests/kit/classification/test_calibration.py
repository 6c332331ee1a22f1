"""Temperature and the threshold for abstention, against scikit-learn and exhaustive search."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from portfolio_kit.classification.calibration import (
    abstention_threshold,
    fit_temperature,
    review_advice,
)


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
    """Logits (rows, classes) that are underconfident or overconfident, and targets (rows,)."""
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


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_accepts_as_many_as_the_precision_allows(seed, precision):
    random = np.random.default_rng(seed)
    confidence = random.random(120).round(2)  # with many ties
    is_right = random.random(120) < confidence
    threshold = abstention_threshold(confidence, is_right, precision)

    def accepted(limit):
        return is_right[confidence >= limit]

    allowed = [limit for limit in confidence if accepted(limit).mean() >= precision]
    assert len(accepted(threshold)) == max((len(accepted(limit)) for limit in allowed), default=0)
    if allowed:
        assert accepted(threshold).mean() >= precision


def test_a_precision_near_the_accuracy_is_pointed_out():
    confidence, is_right = np.linspace(0.5, 1, 100), np.arange(100) >= 6  # right: 94%
    assert review_advice(confidence, is_right, 0.97) is None
    for precision in (0.5, 0.94, 0.96):
        said = review_advice(confidence, is_right, precision)
        assert "94.0% of answers are right" in said
    # The 94 right ones are the most confident: 94 of 98 are 95.9%, and of 99 they are 94.9%.
    said = review_advice(confidence, is_right, 0.95)
    assert said.endswith("texts sent to review: 2.0% at 0.95, 5.0% at 0.98, 6.0% at 0.99")


def test_without_a_precise_threshold_the_model_abstains_from_everything():
    confidence, is_right = np.array([0.2, 1.0]), np.array([False, False])
    assert abstention_threshold(confidence, is_right, 0.9) > 1
