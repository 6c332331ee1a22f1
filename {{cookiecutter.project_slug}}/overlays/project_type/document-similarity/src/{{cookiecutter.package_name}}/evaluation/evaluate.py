"""The evaluate stage: the exported model on the held-out queries, opened here and nowhere else."""

import shutil
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from .. import artifacts
from ..data.prepare import read_split
from ..errors import UserError
from ..params import Params
from ..serving.predictor import Predictor
from ..training import tracking
from . import baselines, error_analysis, figures, index_quality, results, scores
from .intervals import interval_95

BM25, AS_IT_COMES = "BM25", "encoder as it comes"
NOT_MEASURED = (
    "Not measured: there are no held-out queries, so nobody can say how good the answers are; add "
    "some with their documents (queries.jsonl, qrels/test.tsv). Only the index could be measured"
)


def run(params: Params) -> None:
    """Score model and baselines on the same queries; write `reports/`: metrics, figures, errors."""
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    # Of the documents that were indexed, without what the API has changed since.
    settings = params.serve.model_copy(update={"changes": None})
    predictor = Predictor.load(artifacts.MODELS, settings)
    if predictor.manifest["splits"] != data["files"]:
        # Another split would put queries that this model was trained on into the test set.
        raise UserError("models/ comes from another split than data/processed/; run train again")
    test = read_split("test")
    report = score(predictor, test, params) if len(test) else unmeasured()
    vectors = None
    if len(test):
        vectors = predictor.embed(predictor.tokens(list(scores.queries_of(test).values())))
    report["index"] = index_quality.measure(predictor, vectors, params)
    report["model"]["index_recall_at_10"] = report["index"]["recall_at_10"]
    figures.draw(report)
    results.write(predictor.manifest, data, report)
    with tracking.run(params, predictor.manifest["tracking_run"]):
        mlflow.log_metrics({f"test_{name}": value for name, value in report["model"].items()})
        mlflow.log_artifact(str(artifacts.METRICS))
        mlflow.log_artifacts(str(artifacts.REPORTS / "figures"), "figures")


def score(predictor: Predictor, test: pd.DataFrame, params: Params) -> dict[str, Any]:
    """Return scores, intervals and paired comparisons, and write down where searches fail."""
    queries, collection = scores.queries_of(test), predictor.collection
    print(f"searching for {len(queries):,} held-out queries in three ways, and with baselines")
    rankings = scores.rank(predictor, queries)
    tables = {mode: scores.by_query(test, found) for mode, found in rankings.items()}
    rivals = {BM25: tables["bm25"]}
    found = {BM25: rankings["bm25"]}
    if predictor.manifest["is_fine_tuned"]:
        facts = predictor.manifest
        found[AS_IT_COMES] = baselines.as_it_comes(queries, collection.documents, facts, params)
        rivals[AS_IT_COMES] = scores.by_query(test, found[AS_IT_COMES])
    ours = tables[collection.mode]
    report = compare(ours, rivals, params)
    report["retrieval"] = {
        "served": collection.mode,
        "chosen_by": chosen_by(predictor, params),
        **{mode: scores.means(table) for mode, table in tables.items()},
    }
    ndcg = ours["ndcg_at_10"].to_numpy()
    tokens = collection.words.tokens
    report["slices"] = error_analysis.slices(test, ndcg, collection.documents, tokens, params)
    report["found_at"] = {
        name: found_at(test, ranking)
        for name, ranking in {"this model": rankings[collection.mode], **found}.items()
    }
    documents, version = collection.documents, predictor.version
    error_analysis.write(test, ndcg, rankings[collection.mode], documents, report, version)
    return report


def chosen_by(predictor: Predictor, params: Params) -> str:
    """Return what decided on the way to search."""
    if params.serve.retrieval:
        return "serve.retrieval"
    measured = predictor.manifest["validation_ndcg_at_10"]
    return "the validation queries" if measured else "default, without validation queries"


def compare(ours: pd.DataFrame, rivals: dict[str, pd.DataFrame], params: Params) -> dict[str, Any]:
    """Return means, their intervals, and how much better each query fares than with a rival.

    The tables are those of `scores.by_query`, of the same queries in the same order.
    """
    bootstrap = (len(ours), params.evaluate.bootstrap_samples, params.seed)

    def versus(theirs: pd.DataFrame) -> dict[str, Any]:
        gains = (ours["ndcg_at_10"] - theirs["ndcg_at_10"]).to_numpy()
        advantage = [-1.0, 1.0]  # where one query is all there is
        if len(gains) > 1:
            advantage = interval_95(lambda rows: float(gains[rows].mean()), *bootstrap)
        return {"difference": float(gains.mean()), "interval_95": advantage}

    table = {name: scores.means(theirs) for name, theirs in rivals.items()}
    best = max(table, key=lambda name: table[name]["ndcg_at_10"])
    against = {name: versus(theirs) for name, theirs in rivals.items()}
    return {
        "model": scores.means(ours),
        "baselines": table,
        "intervals_95": {
            str(name): error_analysis.mean_interval(values.to_numpy(), params)
            for name, values in ours.items()
        },
        "versus_best_baseline": {"baseline": best, "metric": "ndcg_at_10", **against[best]},
        "versus": against,
    }


def found_at(test: pd.DataFrame, rankings: scores.Rankings) -> list[float]:
    """Return the share of queries with a relevant document among the first 1, 2, ... documents."""
    wanted = error_analysis.relevant(test)
    ranks = [error_analysis.first_rank(rankings[one], wanted[one]) for one in rankings]
    counts = np.bincount(ranks, minlength=scores.DEPTH + 2)[1 : scores.DEPTH + 1]
    return [round(float(share), 5) for share in counts.cumsum() / len(ranks)]


def unmeasured() -> dict[str, Any]:
    """Return the report of a corpus without held-out queries."""
    shutil.rmtree(artifacts.REPORTS / "figures", ignore_errors=True)  # of other data
    artifacts.write_text(error_analysis.ERRORS, f"{NOT_MEASURED}.\n")
    return {
        "model": {},
        "baselines": {},
        "intervals_95": {},
        "versus_best_baseline": None,
        "not_measured": NOT_MEASURED,
        "not_drawn": [name for name in figures.CAPTIONS if name != "index.png"],
    }
