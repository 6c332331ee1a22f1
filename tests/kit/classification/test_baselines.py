"""The tuned regression: as good as a full search, in fewer fits."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from portfolio_kit.classification import baselines
from portfolio_kit.classification.baselines import cross_validated, tuned_regression

SPLITS = {"train": slice(0, 600), "valid": slice(600, 900), "test": slice(900, 1500)}


def score(targets, predictions):
    return f1_score(targets, predictions, average="macro")


def example(seed, scale=1.0):
    features, targets = make_classification(
        1500, 30, n_informative=12, n_classes=6, weights=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05],
        flip_y=0.1, random_state=seed,
    )  # fmt: skip
    return (
        {name: scale * features[rows] for name, rows in SPLITS.items()},
        {name: targets[rows] for name, rows in SPLITS.items()},
    )


@pytest.mark.parametrize("scale", [0.01, 0.1, 1])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_as_good_as_the_best_of_all_settings(seed, scale):
    features, targets = example(seed, scale)
    full = {}
    for strength in baselines.STRENGTHS:
        for weight in (None, "balanced"):
            model = LogisticRegression(C=strength, class_weight=weight, max_iter=2000)
            model.fit(features["train"], targets["train"])
            valid = score(targets["valid"], model.predict(features["valid"]))
            full[valid] = score(targets["test"], model.predict(features["test"]))
    found = tuned_regression(features, targets, score, "test")
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert score(targets["test"], found.argmax(axis=1)) == pytest.approx(full[max(full)], abs=0.03)


def test_sparse_features_give_the_same_answer():
    features, targets = example(0)
    sparse = {name: csr_matrix(values) for name, values in features.items()}
    one, other = (tuned_regression(f, targets, score, "test") for f in (features, sparse))
    np.testing.assert_allclose(one, other, atol=1e-2)


@pytest.mark.parametrize("kind", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_a_refit_is_of_the_best_settings_on_train_and_valid(kind):
    features, targets = example(0)
    scores = iter([0.4, 0.5, 0.3, 0.2])
    ours = {name: kind(values) for name, values in features.items()}
    found = tuned_regression(ours, targets, lambda *_: next(scores), "test", again=ours)
    both = [np.concatenate([part["train"], part["valid"]]) for part in (features, targets)]
    expected = LogisticRegression(C=10, class_weight="balanced", max_iter=2000).fit(*both)
    np.testing.assert_allclose(found, expected.predict_proba(features["test"]), atol=1e-2)


def test_at_most_four_models_are_fitted_and_the_best_answers(monkeypatch):
    """Scores are made up: the middle is best without weights, and no other is better."""
    fits, scores = [], iter([0.5, 0.4, 0.3, 0.2])

    class Model(LogisticRegression):
        def fit(self, features, targets):
            fits.append((self.C, self.class_weight))
            return super().fit(features, targets)

    monkeypatch.setattr(baselines, "LogisticRegression", Model)
    features, targets = example(0)
    found = tuned_regression(features, targets, lambda *_: next(scores), "test")
    assert fits == [(10, None), (10, "balanced"), (100, None), (1, None)]
    expected = LogisticRegression(C=10, max_iter=2000).fit(features["train"], targets["train"])
    np.testing.assert_allclose(found, expected.predict_proba(features["test"]), atol=1e-6)


def test_each_row_is_judged_by_a_model_that_did_not_see_it():
    """With noise for features a model that saw the row would know the label."""
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(300, 200)), random.integers(0, 3, 300)
    probabilities = cross_validated(features, targets)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == targets).mean() < 0.5


def test_a_class_with_fewer_rows_than_folds_is_no_error():
    random = np.random.default_rng(0)
    targets = np.array([0] * 50 + [1] * 50 + [2])
    probabilities = cross_validated(random.normal(size=(101, 5)) + targets[:, None], targets)
    assert probabilities.shape == (101, 3)
    assert probabilities[100, 2] == 0  # the models that judge it know no such class
