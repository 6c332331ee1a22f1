"""Where the model errs, for a person to look at: slices, confident mistakes, doubtful labels."""

import re
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from portfolio_kit.artifacts import REPORTS, write_text
from portfolio_kit.intervals import share_interval_95
from portfolio_kit.markdown import table

from .metrics import Metrics, Slice

SHOWN = 20
ERRORS = REPORTS / "errors.md"
Rows = tuple[pd.Series, np.ndarray]  # texts (rows,), class indices (rows,)


def slices(train: Rows, test: Rows, predictions: np.ndarray) -> dict[str, Slice]:
    """Return rows and accuracy of the test set by length and by share of new words.

    A word is new if no text of the training set has it. Slices by class are `per_class`.
    """
    words = test[0].map(_words)
    known = set().union(*train[0].map(_words))
    lengths = words.map(len)
    new = words.map(lambda found: sum(word not in known for word in found)) / lengths.clip(lower=1)
    quarters = lengths.quantile([0.25, 0.5, 0.75]).round().astype(int)
    limits = [lengths.min() - 1, *quarters, lengths.max()]
    parts = {
        f"{low + 1} to {high} words": (lengths > low) & (lengths <= high)
        for low, high in pairwise(limits)
        if low < high
    } | {
        "no new words": new == 0,
        "up to 10% new words": (new > 0) & (new <= 0.1),
        "more than 10% new words": new > 0.1,
    }
    is_right = predictions == test[1]
    found = {}
    for name, part in parts.items():
        rows, hits = int(part.sum()), int(is_right[part.to_numpy()].sum())
        if rows:
            interval = share_interval_95(hits, rows)
            found[name] = Slice(rows=rows, accuracy=hits / rows, interval_95=interval)
    return found


def doubtful_labels(embeddings: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose label may be wrong, the most doubtful first, and their likelier classes.

    Confident learning (Northcutt et al. 2021) on cross-validated probabilities of a logistic
    regression on the untrained encoder's embeddings.
    """
    regression = LogisticRegression(C=10, max_iter=2000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about classes with fewer rows than folds
        probabilities = cross_val_predict(
            regression, embeddings, targets, cv=5, method="predict_proba", n_jobs=1
        )
        rows = find_label_issues(
            targets, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
    return rows, probabilities[rows].argmax(axis=1)


def write(
    metrics: Metrics,
    train: Rows,
    test: Rows,
    probabilities: np.ndarray,
    doubtful: tuple[np.ndarray, np.ndarray],
    labels: list[str],
) -> None:
    """Write `reports/errors.md`; probabilities (rows, classes) are those of the test set."""
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != test[1])
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    rows, likelier = doubtful
    slices = []
    for name, part in metrics.slices.items():
        low, high = part.interval_95
        slices.append((name, f"{part.rows:,}", f"{part.accuracy:.3f}, {low:.3f} to {high:.3f}"))
    mistakes = [
        (f"{confidence[i]:.2f}", labels[test[1][i]], labels[predictions[i]], test[0].iloc[i])
        for i in worst
    ]
    doubts = [
        (labels[train[1][i]], labels[other], train[0].iloc[i])
        for i, other in zip(rows[:SHOWN], likelier[:SHOWN], strict=True)
    ]
    text = f"""# Where the model errs

Model `{metrics.model_version}`; written by the evaluate stage. Each row is a place to look, not a
verdict.

## By slice of the test set

{table("slice|rows|accuracy, 95% interval", slices)}

## The {len(mistakes)} most confident mistakes on the test set

{table("confidence|label|answer|text", mistakes)}

## Labels of the training set that may be wrong

{len(rows):,} of {len(train[1]):,} rows look doubtful (confident learning); the most doubtful first:

{table("label|likelier|text", doubts)}
"""
    write_text(ERRORS, text)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
