"""Where the model errs, for a person to look at: slices, confident mistakes, doubtful labels."""

from itertools import pairwise

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues

from portfolio_kit.artifacts import REPORTS, write_text
from portfolio_kit.classification.baselines import cross_validated
from portfolio_kit.intervals import share_interval_95
from portfolio_kit.markdown import table

from ..signals import words_of
from .metrics import Metrics, Slice

SHOWN = 20


def slices(seen: pd.DataFrame, test: pd.DataFrame) -> dict[str, Slice]:
    """Return rows and accuracy of the test set by length and by share of new words.

    A word is new if no text that the model was trained on has it. Slices by class are `per_class`.
    """
    known = set().union(*seen["text"].map(words_of))
    words = test["text"].map(words_of)
    lengths = words.map(len)
    new = words.map(lambda found: sum(word not in known for word in found)) / lengths.clip(lower=1)
    quarters = lengths.quantile([0.25, 0.5, 0.75]).round()
    limits = np.unique([lengths.min() - 1, *quarters, lengths.max()]).astype(int)
    by_length = [f"{low + 1} to {high} words" for low, high in pairwise(limits)]
    by_news = ["no new words", "up to 10% new words", "more than 10% new words"]
    kinds = pd.cut(lengths, limits, labels=by_length), pd.cut(new, [-1, 0, 0.1, 1], labels=by_news)
    found = {}
    for parts in kinds:
        for name, part in test["is_right"].groupby(parts, observed=True):
            rows, hits = len(part), int(part.sum())
            interval = share_interval_95(hits, rows)
            found[str(name)] = Slice(rows=rows, accuracy=hits / rows, interval_95=interval)
    return found


def doubtful_labels(train: pd.DataFrame, embeddings: np.ndarray) -> pd.DataFrame:
    """Return rows whose label may be wrong, the most doubtful first, with a column `likelier`.

    Confident learning (Northcutt et al. 2021) with a cross-validated logistic regression on the
    untrained encoder's embeddings (rows, hidden).
    """
    labels, targets = np.unique(train["label"], return_inverse=True)
    likely = cross_validated(embeddings, targets)
    ranked = {"return_indices_ranked_by": "self_confidence"}
    rows = find_label_issues(targets, likely, n_jobs=1, **ranked)
    return train.iloc[rows].assign(likelier=labels[likely[rows].argmax(axis=1)])


def write(metrics: Metrics, rows: int, test: pd.DataFrame, doubtful: pd.DataFrame) -> None:
    """Write `reports/errors.md`; `test` has the model's answers, `doubtful` is of so many rows."""
    wrong = test[~test["is_right"]].nlargest(SHOWN, "confidence")
    wrong = wrong.assign(confidence=wrong["confidence"].map("{:.2f}".format))
    accuracy = "{:.3f}, {:.3f} to {:.3f}".format
    slices = [
        (name, f"{part.rows:,}", accuracy(part.accuracy, *part.interval_95))
        for name, part in metrics.slices.items()
    ]
    text = f"""# Where the model errs

Model `{metrics.model_version}`; written by the evaluate stage. Each row is a place to look, not a
verdict.

## By slice of the test set

{table("slice|rows|accuracy, 95% interval", slices)}

## The {len(wrong)} most confident mistakes on the test set

{_table(wrong, "confidence", "label", "answer", "text")}

## Labels of the training set that may be wrong

{len(doubtful):,} of {rows:,} rows look doubtful (confident learning); the most doubtful first:

{_table(doubtful.head(SHOWN), "label", "likelier", "text")}
"""
    write_text(REPORTS / "errors.md", text)


def _table(rows: pd.DataFrame, *columns: str) -> str:
    return table("|".join(columns), rows[list(columns)].itertuples(index=False))
