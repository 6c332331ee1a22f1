"""Where searches fail, for a person to look at: slices, and the worst queries."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..artifacts import REPORTS, write_text
from ..params import Params
from ..retrieval.documents import Documents, searchable
from ..retrieval.words import Tokens
from .intervals import interval_95
from .markdown import table
from .scores import DEPTH, Rankings, queries_of

SHOWN = 20
INSTEAD = 3  # documents shown that came first
ERRORS = REPORTS / "errors.md"
OVERLAPS = {
    "no shared words": (-1.0, 0.0),
    "up to 25% shared words": (0.0, 0.25),
    "25 to 50% shared words": (0.25, 0.5),
    "more than 50% shared words": (0.5, 1.0),
}


def slices(
    test: pd.DataFrame, ndcg: np.ndarray, documents: Documents, tokens: Tokens, params: Params
) -> dict[str, dict[str, Any]]:
    """Return nDCG@10 by the length of the query, and by the words it shares with its documents.

    ndcg (queries,), in the order of `queries_of(test)`. A word counts without its ending, a stop
    word not at all.
    """
    queries, wanted = queries_of(test), relevant(test)
    lengths = np.array([len(query.split()) for query in queries.values()])
    overlaps = np.array(
        [overlap(query, wanted[one], documents, tokens) for one, query in queries.items()]
    )
    quarters = np.quantile(lengths, [0.25, 0.5, 0.75]).round().astype(int)
    limits = [lengths.min() - 1, *quarters, lengths.max()]
    parts = {
        f"{low + 1} to {high} words": (lengths > low) & (lengths <= high)
        for low, high in pairwise(limits)
        if low < high
    }
    parts |= {name: (overlaps > low) & (overlaps <= high) for name, (low, high) in OVERLAPS.items()}
    found = {}
    for name, inside in parts.items():
        values = ndcg[inside]
        if len(values):
            found[name] = {
                "queries": len(values),
                "ndcg_at_10": float(values.mean()),
                "interval_95": mean_interval(values, params),
            }
    return found


def mean_interval(values: np.ndarray, params: Params) -> list[float]:
    """Return the bootstrap interval of the mean of one value a query, each from 0 to 1."""
    if len(values) == 1:
        return [0.0, 1.0]  # one query says nothing of others
    samples, seed = params.evaluate.bootstrap_samples, params.seed
    return interval_95(lambda rows: float(values[rows].mean()), len(values), samples, seed)


def relevant(test: pd.DataFrame) -> "pd.Series[Any]":
    """Return the list of relevant documents of each query, by its id."""
    return test[test["relevance"] > 0].groupby("query_id")["document_id"].agg(list)


def overlap(query: str, wanted: list[str], documents: Documents, tokens: Tokens) -> float:
    """Return the share of a query's words that its relevant documents have."""
    words = set(tokens.split(query))
    held: set[str] = set()
    for document_id in wanted:
        row = documents.row_of(document_id)
        assert row is not None  # checked by the data stage
        held |= set(tokens.split(documents[row]))
    return len(words & held) / max(1, len(words))


def write(
    test: pd.DataFrame,
    ndcg: np.ndarray,
    rankings: Rankings,
    documents: Documents,
    report: dict[str, Any],
    version: str,
) -> None:
    """Write `reports/errors.md`: the slices, and the queries whose documents came last."""
    parts = []
    for name, part in report["slices"].items():
        low, high = part["interval_95"]
        score = f"{part['ndcg_at_10']:.3f}, {low:.3f} to {high:.3f}"
        parts.append((name, f"{part['queries']:,}", score))
    queries, wanted = queries_of(test), relevant(test)
    ranks = np.array([first_rank(rankings[one], wanted[one]) for one in queries])
    worst = np.lexsort((np.arange(len(ranks)), -ranks, ndcg))[:SHOWN]
    lines = []
    for place in worst:
        query_id = list(queries)[place]
        rank = str(ranks[place]) if ranks[place] <= DEPTH else f"beyond {DEPTH}"
        names = [named(documents, one) for one in wanted[query_id]]
        instead = [named(documents, one) for one in rankings[query_id][:INSTEAD]]
        lines.append((queries[query_id], "; ".join(names), rank, "; ".join(instead)))
    text = f"""# Where searches fail

Model `{version}`; written by the evaluate stage. Each row is a place to look, not a verdict.

## By slice of the test set

{table("slice|queries|nDCG@10, 95% interval", parts)}

The words that a query shares with its documents are counted without endings and stop words: where
there are none, only the meaning can help.

## The {len(lines)} worst queries of the test set

{table("query|its document|found at|came first", lines)}
"""
    write_text(ERRORS, text)


def first_rank(ranking: list[str], wanted: list[str]) -> int:
    """Return the rank of the first relevant document, from 1; beyond `DEPTH` if there is none."""
    return next((rank for rank, one in enumerate(ranking, 1) if one in wanted), DEPTH + 1)


def named(documents: Documents, document_id: str) -> str:
    """Return a document's title and id."""
    row = documents.row_of(document_id)
    assert row is not None
    document = documents.at(row)
    return f"{document.title or searchable(document).strip()[:60]} ({document_id})"
