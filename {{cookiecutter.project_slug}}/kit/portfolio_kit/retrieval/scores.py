"""How good rankings are, query by query."""

import functools

import ir_measures
import numpy as np
import pandas as pd
from ir_measures import RR, Measure, R, nDCG

from .documents import Documents
from .ranking import fuse
from .settings import MODES, EncoderName, Mode
from .vectors import Nearest
from .words import Words

DEPTH = 100  # documents of a ranking that are looked at
# A document's gain is its relevance; for the other measures all above zero are relevant.
METRICS: dict[str, Measure] = {
    "ndcg_at_10": nDCG @ 10,
    "mrr_at_10": RR @ 10,
    "recall_at_10": R @ 10,
    "recall_at_100": R @ 100,
}
Rankings = dict[str, list[str]]  # query ids to ids of documents, best first


def queries_of(judged: pd.DataFrame) -> dict[str, str]:
    """Return the queries of a split by id."""
    return dict(zip(judged["query_id"], judged["query"], strict=True))


def rank(
    index: Nearest, words: Words, documents: Documents, queries: dict[str, str], vectors: np.ndarray
) -> dict[Mode, Rankings]:
    """Return the first `DEPTH` documents for each query in each mode, as a `Collection` finds them.

    vectors: of the queries, float32 (queries, dimensions).
    """
    named = functools.cache(lambda row: documents.at(row).id)
    rankings: dict[Mode, Rankings] = {mode: {} for mode in MODES}
    for (query_id, query), vector in zip(queries.items(), vectors, strict=True):
        dense = index.search(vector, DEPTH)
        bm25 = words.search(words.tokens.split(query), DEPTH)
        hybrid = fuse(dense, bm25, DEPTH)
        for mode, (rows, _) in zip(MODES, (dense, bm25, hybrid), strict=True):
            rankings[mode][query_id] = [named(row) for row in rows.tolist()]
    return rankings


def choose(scores: dict[EncoderName, dict[Mode, float]]) -> tuple[EncoderName, Mode]:
    """Return the encoder and mode with the highest score; the first of several equal ones.

    BM25 scores the same with either encoder: then the one that is better at dense search is taken,
    which finds similar documents.
    """
    pairs = [(encoder, mode) for encoder in scores for mode in MODES]
    return max(pairs, key=lambda pair: (scores[pair[0]][pair[1]], scores[pair[0]]["dense"]))


def by_query(judged: pd.DataFrame, rankings: Rankings) -> pd.DataFrame:
    """Return the scores of rankings: a row per query, a column for each of `METRICS`.

    judged: query_id, document_id, relevance.
    """
    qrels = judged[["query_id", "document_id", "relevance"]]
    qrels = qrels.rename(columns={"document_id": "doc_id"})
    run = pd.DataFrame(
        [
            (query_id, document_id, float(DEPTH - place))
            for query_id, ranking in rankings.items()
            for place, document_id in enumerate(ranking)
        ],
        columns=["query_id", "doc_id", "score"],
    )
    names = {measure: name for name, measure in METRICS.items()}
    scores = pd.DataFrame(
        [
            (one.query_id, names[one.measure], one.value)
            for one in ir_measures.iter_calc(list(METRICS.values()), qrels, run)
        ],
        columns=["query_id", "metric", "score"],
    )
    table = scores.pivot(index="query_id", columns="metric", values="score")
    # A query for which nothing was found has no row yet, and scores zero.
    return table.reindex(index=judged["query_id"].unique(), columns=list(METRICS)).fillna(0.0)


def means(scores: pd.DataFrame) -> dict[str, float]:
    """Return the mean of each metric over the queries."""
    return {str(name): float(np.mean(values)) for name, values in scores.items()}
