"""How good the answers were, once people have said which document was the right one."""

from typing import Any

import numpy as np
import pandas as pd

from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import outcomes
from portfolio_kit.monitoring.verdict import Quality
from portfolio_kit.retrieval.scores import by_query

from ..evaluation.metrics import Metrics
from ..params import Params

METRIC = "ndcg_at_10"


def live_quality(
    answers: list[dict[str, Any]], labels: str, held_out: Metrics, params: Params
) -> Quality:
    """Return nDCG@10 of the searches that were judged, next to that of the held-out queries.

    labels: a CSV file with the columns id (the request's X-Request-ID, then /0), document_id and,
    if there is more than one degree, relevance.
    """
    judged = read_judgements(labels)
    rankings = {one["id"]: one["answer"]["ids"] for one in answers}
    judged = judged[judged["query_id"].isin(list(rankings))]
    if judged.empty:
        raise UserError(f"monitor.labels: no id in {labels} matches a compared search")
    if METRIC not in held_out.intervals_95:
        raise UserError("monitor.labels: this model has no held-out scores to compare with")
    names = judged["query_id"].unique()
    values = by_query(judged, {name: rankings[name] for name in names})[METRIC].to_numpy()

    def score(chosen: np.ndarray) -> float:
        return float(values[chosen].mean())

    return outcomes.compare(METRIC, score, len(values), held_out, params)


def read_judgements(path: str) -> pd.DataFrame:
    """Return query_id, document_id and relevance."""
    table = outcomes.read(path, {"id", "document_id"}, dtype=str, keep_default_na=False)
    with outcomes.readable(path):
        relevance = table["relevance"].astype(int) if "relevance" in table else 1
    renamed = {"query_id": table["id"], "document_id": table["document_id"]}
    return pd.DataFrame({**renamed, "relevance": relevance})
