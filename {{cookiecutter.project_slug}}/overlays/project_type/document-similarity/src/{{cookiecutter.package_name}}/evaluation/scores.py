"""How good rankings are, query by query."""

from collections.abc import Iterable

import ir_measures
import numpy as np
import pandas as pd
from ir_measures import RR, Measure, R, nDCG

from ..params import Mode
from ..serving.predictor import Predictor

MODES: tuple[Mode, ...] = ("dense", "bm25", "hybrid")
DEPTH = 100  # documents of a ranking that are looked at
# The gain of a document is its relevance, and all above zero are relevant for the others.
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
    predictor: Predictor, queries: dict[str, str], modes: Iterable[Mode] = MODES
) -> dict[Mode, Rankings]:
    """Return the first `DEPTH` documents for each query, searched in each way."""
    vectors = predictor.embed(predictor.tokens(list(queries.values())))
    rankings: dict[Mode, Rankings] = {mode: {} for mode in modes}
    for mode, found in rankings.items():
        for (query_id, query), vector in zip(queries.items(), vectors, strict=True):
            hits = predictor.collection.search(query, vector, DEPTH, mode)
            found[query_id] = [hit.document.id for hit in hits]
    return rankings


def by_query(judged: pd.DataFrame, rankings: Rankings) -> pd.DataFrame:
    """Return the scores of a ranking: a row for each query, a column for each of `METRICS`.

    judged: query_id, document_id, relevance.
    """
    qrels = pd.DataFrame(
        {
            "query_id": judged["query_id"],
            "doc_id": judged["document_id"],
            "relevance": judged["relevance"],
        }
    )
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
    # A query for which nothing was found at all has no row yet, and scores nothing.
    return table.reindex(index=judged["query_id"].unique(), columns=list(METRICS)).fillna(0.0)


def best_mode(predictor: Predictor, valid: pd.DataFrame) -> tuple[Mode, dict[str, float]]:
    """Return the way to search with the highest nDCG@10 on validation queries, and that of all."""
    rankings = rank(predictor, queries_of(valid))
    ndcg = {
        mode: round(float(by_query(valid, found)["ndcg_at_10"].mean()), 4)
        for mode, found in rankings.items()
    }
    best: Mode = max(rankings, key=lambda mode: ndcg[mode])
    return best, {str(mode): value for mode, value in ndcg.items()}


def means(scores: pd.DataFrame) -> dict[str, float]:
    """Return the mean of each metric over the queries."""
    return {str(name): float(np.mean(values)) for name, values in scores.items()}
