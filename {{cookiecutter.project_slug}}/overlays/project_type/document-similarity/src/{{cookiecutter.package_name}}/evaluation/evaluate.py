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
from portfolio_kit.retrieval.settings import EncoderName, Mode

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
    words, documents = collection.words, collection.documents
    served: EncoderName = "fine_tuned" if model.is_fine_tuned else "pretrained"
    found = {served: rank(collection.index, words, documents, queries, vectors)}
    if other := baselines.not_served(model, documents, params):
        name: EncoderName = "pretrained" if model.is_fine_tuned else "fine_tuned"
        found[name] = other.rank(queries, words, documents)
    by_encoder = {
        name: {mode: by_query(test, rankings) for mode, rankings in modes.items()}
        for name, modes in found.items()
    }
    pairs: dict[str, tuple[EncoderName, Mode]] = {
        OURS: (served, collection.mode),
        BM25: (served, "bm25"),
        PRETRAINED: ("pretrained", "dense"),
    }
    rankings = {name: found[encoder][mode] for name, (encoder, mode) in pairs.items()}
    tables = {name: by_encoder[encoder][mode] for name, (encoder, mode) in pairs.items()}
    ndcg = tables[OURS]["ndcg_at_10"].to_numpy()
    slices = error_analysis.slices(test, ndcg, collection, params)
    error_analysis.write(slices, test, ndcg, rankings[OURS], collection.documents, model.version)
    return {
        **compare(tables, params),
        "retrieval": Retrieval(
            served=collection.mode,
            encoder=served,
            chosen_by=chosen_by(model, params),
            **{mode: means(table) for mode, table in by_encoder[served].items()},
            by_encoder={
                name: {mode: means(table) for mode, table in modes.items()}
                for name, modes in by_encoder.items()
            },
            gains=gains(by_encoder, served, params),
        ),
        "slices": slices,
        "found_at": {name: found_at(test, ranking) for name, ranking in rankings.items()},
    }


def compare(tables: dict[str, pd.DataFrame], params: Params) -> dict[str, Any]:
    """Return means, their intervals, and the paired comparison with each baseline.

    tables: those of `by_query`, ours first, for the same queries in the same order.
    """
    (_, ours), *rivals = tables.items()
    versus = {name: paired(ours, theirs, name, params) for name, theirs in rivals}
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


def paired(ours: pd.DataFrame, theirs: pd.DataFrame, name: str, params: Params) -> Versus:
    """Compare nDCG@10 of the same queries, query by query."""
    differences = (ours["ndcg_at_10"] - theirs["ndcg_at_10"]).to_numpy()
    return Versus(
        baseline=name,
        metric="ndcg_at_10",
        difference=float(differences.mean()),
        interval_95=mean_interval_95(differences, params, widest=[-1.0, 1.0]),
    )


def gains(
    tables: dict[EncoderName, dict[Mode, pd.DataFrame]], served: EncoderName, params: Params
) -> dict[str, Versus]:
    """Return what training adds to dense search, and what fusion with BM25 adds on top.

    tables: those of `by_query`, of each encoder in each mode. Without training there is no gain.
    """
    dense, hybrid = tables[served]["dense"], tables[served]["hybrid"]
    found = {"fusion": paired(hybrid, dense, "dense search", params)}
    if "fine_tuned" in tables:
        trained, before = tables["fine_tuned"]["dense"], tables["pretrained"]["dense"]
        found["training"] = paired(trained, before, PRETRAINED, params)
    return found


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
