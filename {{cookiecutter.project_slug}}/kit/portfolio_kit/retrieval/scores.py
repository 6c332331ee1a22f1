"""How good rankings are, query by query."""

import ir_measures
import numpy as np
import pandas as pd
from ir_measures import RR, Measure, R, nDCG

from .collection import Collection
from .settings import MODES, Mode

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
    collection: Collection, queries: dict[str, str], vectors: np.ndarray
) -> dict[Mode, Rankings]:
    """Return the first `DEPTH` documents for each query, searched in each mode.

    vectors: of the queries, float32 (queries, dimensions).
    """
    rankings: dict[Mode, Rankings] = {mode: {} for mode in MODES}
    for mode, found in rankings.items():
        for (query_id, query), vector in zip(queries.items(), vectors, strict=True):
            hits = collection.search(query, vector, DEPTH, mode)
            found[query_id] = [hit.document.id for hit in hits]
    return rankings


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
