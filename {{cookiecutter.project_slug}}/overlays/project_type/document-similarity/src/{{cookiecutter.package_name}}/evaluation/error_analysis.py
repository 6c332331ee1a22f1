"""Where searches fail, for a person to look at: slices, and the worst queries."""

from itertools import pairwise

import numpy as np
import pandas as pd

from portfolio_kit.artifacts import REPORTS, write_text
from portfolio_kit.markdown import table
from portfolio_kit.retrieval.collection import Collection
from portfolio_kit.retrieval.documents import Documents, searchable
from portfolio_kit.retrieval.scores import DEPTH, Rankings, queries_of

from ..params import Params
from .metrics import Slice
from .scores import first_rank, mean_interval_95, relevant

SHOWN = 20
INSTEAD = 3  # documents shown that were ranked first
ERRORS = REPORTS / "errors.md"
OVERLAPS = {
    "no shared words": (-1.0, 0.0),
    "up to 25% shared words": (0.0, 0.25),
    "25 to 50% shared words": (0.25, 0.5),
    "more than 50% shared words": (0.5, 1.0),
}


def slices(
    test: pd.DataFrame, ndcg: np.ndarray, collection: Collection, params: Params
) -> dict[str, Slice]:
    """Return nDCG@10 by the length of the query, and by the words it shares with its documents.

    ndcg (queries,), in the order of `queries_of(test)`. Words are compared without endings, and
    stop words do not count.
    """
    queries, wanted = queries_of(test), relevant(test)
    lengths = np.array([len(query.split()) for query in queries.values()])
    overlaps = np.array([overlap(text, wanted[one], collection) for one, text in queries.items()])
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
            interval = mean_interval_95(values, params, widest=[0.0, 1.0])
            mean = float(values.mean())
            found[name] = Slice(queries=len(values), ndcg_at_10=mean, interval_95=interval)
    return found


def overlap(query: str, wanted: list[str], collection: Collection) -> float:
    """Return the share of a query's words that its relevant documents have."""
    split, documents = collection.words.tokens.split, collection.documents
    words, held = set(split(query)), set()
    for document_id in wanted:
        held |= set(split(searchable(documents.by_id(document_id))))
    return len(words & held) / max(1, len(words))


def write(
    slices: dict[str, Slice],
    test: pd.DataFrame,
    ndcg: np.ndarray,
    rankings: Rankings,
    documents: Documents,
    version: str,
) -> None:
    """Write `reports/errors.md`: the slices, and the queries whose documents ranked last."""
    parts = []
    for name, part in slices.items():
        low, high = part.interval_95
        score = f"{part.ndcg_at_10:.3f}, {low:.3f} to {high:.3f}"
        parts.append((name, f"{part.queries:,}", score))
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

Shared words are counted without endings and stop words: a query that shares none with its documents
can be answered by meaning only.

## The {len(lines)} worst queries of the test set

{table("query|relevant|found at|ranked first", lines)}
"""
    write_text(ERRORS, text)


def named(documents: Documents, document_id: str) -> str:
    """Return a document's title and id."""
    document = documents.by_id(document_id)
    return f"{document.title or searchable(document).strip()[:60]} ({document_id})"
