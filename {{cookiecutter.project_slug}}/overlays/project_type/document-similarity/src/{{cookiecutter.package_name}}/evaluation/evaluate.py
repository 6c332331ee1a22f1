"""The evaluate stage: the exported model on the held-out queries, opened only here."""

import shutil
from typing import Any

import numpy as np
import pandas as pd

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.errors import UserError
from portfolio_kit.records import Versus
from portfolio_kit.report import write_metrics
from portfolio_kit.retrieval import quality
from portfolio_kit.retrieval.scores import by_query, means, queries_of, rank

from ..data.prepare import Dataset, read_split
from ..params import Params
from ..predictor import Manifest, Predictor
from . import baselines, error_analysis, figures
from .metrics import REPORTING, Metrics, Retrieval
from .scores import found_at, mean_interval_95

OURS, BM25, PRETRAINED = "this model", "BM25", "pretrained encoder"
NOT_MEASURED = (
    "Not measured: there are no held-out queries, so the quality of the answers is unknown; add "
    "queries with their relevant documents (queries.jsonl, qrels/test.tsv). Only the index was "
    "measured"
)


def evaluate(params: Params) -> None:
    """Score model and baselines on the same queries; write `reports/`: metrics, figures, errors."""
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    # The documents as they were indexed, without what the API has changed since.
    settings = params.serve.model_copy(update={"changes": None})
    predictor = Predictor.load(artifacts.MODELS, settings)
    model = predictor.manifest
    if model.splits != data.files:
        # Another split would put queries that this model was trained on into the test set.
        raise UserError("models/ comes from another split than data/processed/; run `make train`")
    test = read_split("test")
    vectors = predictor.embed_queries(list(queries_of(test).values())) if len(test) else None
    threads = cores.threads(params.train.threads)
    index = quality.measure(predictor.collection, vectors, threads, params.seed)
    scores = unmeasured() if vectors is None else score(predictor, test, vectors, params)
    if index.recall_at_10 is not None:
        scores["model"]["index_recall_at_10"] = index.recall_at_10
    metrics = Metrics.of(model, data, index=index, **scores)
    figures.draw(metrics)
    write_metrics(metrics)
    tracking.record_evaluation(params, model.tracking_run, metrics)


def score(
    predictor: Predictor, test: pd.DataFrame, vectors: np.ndarray, params: Params
) -> dict[str, Any]:
    """Return scores, intervals and paired comparisons, for `Metrics`; write `reports/errors.md`.

    test: judged queries; vectors: of the queries, float32 (queries, dimensions).
    """
    queries, collection, model = queries_of(test), predictor.collection, predictor.manifest
    print(f"searching for {len(queries):,} held-out queries in three modes, and with baselines")
    by_mode = rank(collection, queries, vectors)
    rankings = {OURS: by_mode[collection.mode], BM25: by_mode["bm25"]}
    if model.is_fine_tuned:
        found = baselines.pretrained(queries, collection.documents, model, params)
        rankings[PRETRAINED] = found
    tables = {name: by_query(test, ranking) for name, ranking in rankings.items()}
    ndcg = tables[OURS]["ndcg_at_10"].to_numpy()
    slices = error_analysis.slices(test, ndcg, collection, params)
    error_analysis.write(slices, test, ndcg, rankings[OURS], collection.documents, model.version)
    return {
        **compare(tables, params),
        "retrieval": Retrieval(
            served=collection.mode,
            chosen_by=chosen_by(model, params),
            **{mode: means(by_query(test, ranking)) for mode, ranking in by_mode.items()},
        ),
        "slices": slices,
        "found_at": {name: found_at(test, ranking) for name, ranking in rankings.items()},
    }


def compare(tables: dict[str, pd.DataFrame], params: Params) -> dict[str, Any]:
    """Return means, their intervals, and the paired comparison with each baseline.

    tables: those of `by_query`, ours first, for the same queries in the same order.
    """
    (_, ours), *rivals = tables.items()
    versus = {}
    for name, theirs in rivals:
        gains = (ours["ndcg_at_10"] - theirs["ndcg_at_10"]).to_numpy()
        versus[name] = Versus(
            baseline=name,
            metric="ndcg_at_10",
            difference=float(gains.mean()),
            interval_95=mean_interval_95(gains, params, widest=[-1.0, 1.0]),
        )
    baselines = {name: means(theirs) for name, theirs in rivals}
    return {
        "model": means(ours),
        "baselines": baselines,
        "intervals_95": {
            str(name): mean_interval_95(values.to_numpy(), params, widest=[0.0, 1.0])
            for name, values in ours.items()
        },
        "versus": versus,
        "versus_best_baseline": min(versus.values(), key=lambda one: one.difference),
    }


def chosen_by(model: Manifest, params: Params) -> str:
    """Return what decided on the retrieval mode."""
    if params.serve.retrieval:
        return "serve.retrieval"
    measured = model.validation_ndcg_at_10
    return "the validation queries" if measured else "default, without validation queries"


def unmeasured() -> dict[str, Any]:
    """Return what takes the place of scores if there are no held-out queries."""
    shutil.rmtree(artifacts.REPORTS / "figures", ignore_errors=True)  # of other data
    artifacts.write_text(error_analysis.ERRORS, f"{NOT_MEASURED}.\n")
    return {
        "model": {},
        "baselines": {},
        "intervals_95": {},
        "versus_best_baseline": None,
        "not_measured": NOT_MEASURED,
        "not_drawn": [name for name in REPORTING.captions if name != "index.png"],
    }
