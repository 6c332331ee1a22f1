"""How good answers were, once people have said which document was the right one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation.intervals import interval_95
from ..evaluation.scores import by_query
from ..params import Params

METRIC = "ndcg_at_10"


def live_quality(
    answers: list[dict[str, Any]], labels: str | None, held_out: dict[str, Any], params: Params
) -> dict[str, Any] | None:
    """Return nDCG@10 of the searches that somebody has judged, beside that on the held-out queries.

    labels: a CSV file with the columns id (the request's X-Request-ID, then /0), document_id and,
    if there is more than one degree, relevance. An alarm if even the best end of the interval is
    below the worst of the held-out one's.
    """
    if labels is None:
        return None
    judged = read_judgements(Path(labels))
    rankings = {one["id"]: one["answer"]["ids"] for one in answers}
    judged = judged[judged["query_id"].isin(list(rankings))]
    if judged.empty:
        raise UserError(f"monitor.labels: no id in {labels} is that of a search that is compared")
    if METRIC not in held_out["intervals_95"]:
        raise UserError("monitor.labels: this model was never evaluated: there were no queries")
    names = judged["query_id"].unique()
    values = by_query(judged, {name: rankings[name] for name in names})[METRIC].to_numpy()

    def score(chosen: np.ndarray) -> float:
        return float(values[chosen].mean())

    interval = interval_95(score, len(values), params.evaluate.bootstrap_samples, params.seed)
    return {
        "metric": METRIC,
        "answers": len(values),
        "live": score(np.arange(len(values))),
        "interval_95": interval,
        "held_out": held_out["model"][METRIC],
        "held_out_interval_95": held_out["intervals_95"][METRIC],
        "is_alarm": interval[1] < held_out["intervals_95"][METRIC][0],
    }


def read_judgements(path: Path) -> pd.DataFrame:
    """Return query_id, document_id and relevance."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        missing = {"id", "document_id"} - set(table)
        if missing:
            raise UserError(f"monitor.labels: {path} lacks the column {sorted(missing)[0]!r}")
        relevance = table["relevance"].astype(int) if "relevance" in table else 1
    except (OSError, ValueError) as error:
        raise UserError(f"monitor.labels: {path} cannot be read: {error}") from None
    renamed = {"query_id": table["id"], "document_id": table["document_id"]}
    return pd.DataFrame({**renamed, "relevance": relevance})
