"""Logistic regression on given features: tuned as a baseline, and cross-validated."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import issparse, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

STRENGTHS = 1.0, 10.0, 100.0  # C: the higher, the less is regularised
FOLDS = 5
# These products of matrices are small: threads spend most of their time waiting for each other.
one_thread = partial(threadpool_limits, 1)
Score = Callable[[np.ndarray, np.ndarray], float]  # targets and predictions, both (rows,)


def tuned_regression(
    features: dict[str, Any],
    targets: dict[str, np.ndarray],
    score: Score,
    name: str,
    again: dict[str, Any] | None = None,
) -> np.ndarray:
    """Fit on train, choose the settings on valid, and return test probabilities (rows, classes).

    features are (rows, features), dense or sparse, by split; targets (rows,) class indices. From
    the middle strength, with and without class weights, the better goes up, or else down. Each fit
    starts from the last: at most four of the six settings are tried, the later ones in less time.
    With features to fit `again`, the best settings are fitted to those of train and valid together.
    """
    low, middle, high = STRENGTHS
    model = LogisticRegression(max_iter=2000, warm_start=True)
    best, probabilities, chosen = -np.inf, np.empty(0), {}
    with one_thread(), tqdm(total=4, desc=f"baseline, {name}", unit="fit") as progress:

        def is_best(**settings: Any) -> bool:
            nonlocal best, probabilities, chosen
            model.set_params(**settings).fit(features["train"], targets["train"])
            found = score(targets["valid"], model.predict(features["valid"]))
            if is_better := found > best:
                best, probabilities = found, model.predict_proba(features["test"])
                chosen = settings
            progress.update()
            return is_better

        is_best(C=middle, class_weight=None)
        weight = "balanced" if is_best(C=middle, class_weight="balanced") else None
        if not is_best(C=high, class_weight=weight):
            is_best(C=low, class_weight=weight)
        if again:
            both = again["train"], again["valid"]
            stacked = vstack(both) if issparse(both[0]) else np.vstack(both)
            labels = np.concatenate([targets["train"], targets["valid"]])
            model = LogisticRegression(max_iter=2000, **chosen).fit(stacked, labels)
            probabilities = model.predict_proba(again["test"])
    return probabilities


def cross_validated(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the probabilities (rows, classes) that a model fitted on other rows gives each row."""
    probabilities = np.zeros((len(targets), targets.max() + 1))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes with fewer rows than folds
        parts = [*folds.split(features, targets)]
    with one_thread():
        for others, rows in tqdm(parts, desc="doubtful labels", unit="fit"):
            model = LogisticRegression(C=STRENGTHS[1], max_iter=2000)
            model.fit(features[others], targets[others])
            probabilities[np.ix_(rows, model.classes_)] = model.predict_proba(features[rows])
    return probabilities
