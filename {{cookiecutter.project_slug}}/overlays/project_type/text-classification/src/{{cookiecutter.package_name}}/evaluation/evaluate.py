"""The evaluate stage: the exported model on the held-out test set, opened here and nowhere else."""

from typing import Any

import mlflow
import numpy as np
import torch
from sklearn.metrics import precision_recall_fscore_support

from .. import artifacts, cores
from ..data.prepare import SPLITS, read_split
from ..errors import UserError
from ..params import Params
from ..serving.predictor import Predictor
from ..training import tracking
from . import error_analysis, figures, results
from .baselines import frozen_embeddings, predict_with_baselines
from .confidence import calibration, review
from .intervals import interval_95
from .scores import expected_calibration_error, macro_f1


def run(params: Params) -> None:
    """Score model and baselines on the same rows; write `reports/`: metrics, figures, errors."""
    data = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    if predictor.manifest["splits"] != data["files"]:
        # Another split would put rows that this model was trained on into the test set.
        raise UserError("models/ comes from another split than data/processed/; run train again")
    torch.set_num_threads(cores.threads(params.train.threads))
    labels = predictor.labels
    splits = {
        name: (rows["text"], rows["label"].map(labels.index).to_numpy())
        for name, rows in ((name, read_split(name)) for name in SPLITS)
    }
    train, valid, test = (splits[name] for name in SPLITS)

    print("evaluating the exported model and three baselines")
    ours, ours_on_valid = (
        predictor.probabilities(predictor.prepare(texts.tolist())) for texts, _ in (test, valid)
    )
    embeddings = frozen_embeddings(splits, params.model)
    baselines = predict_with_baselines(splits, embeddings, len(labels))
    report = {
        **compare(test[1], ours, baselines, labels, params),
        "calibration": calibration(test[1], ours, predictor.manifest["temperature"]),
        "review": review(test[1], ours, predictor.manifest["review"]),
        "slices": error_analysis.slices(train, test, ours.argmax(axis=1)),
    }
    figures.draw(report, test[1], ours, (valid[1], ours_on_valid), labels)
    doubtful = error_analysis.doubtful_labels(embeddings["train"], train[1])
    error_analysis.write(report, train, test, ours, doubtful, labels, predictor.version)
    results.write(predictor.manifest, data, report)
    with tracking.run(params, predictor.manifest["tracking_run"]):
        mlflow.log_metrics({f"test_{name}": value for name, value in report["model"].items()})
        mlflow.log_artifact(str(artifacts.METRICS))
        mlflow.log_artifacts(str(artifacts.REPORTS / "figures"), "figures")


def compare(
    targets: np.ndarray,
    probabilities: np.ndarray,
    baselines: dict[str, np.ndarray],
    labels: list[str],
    params: Params,
) -> dict[str, Any]:
    """Return scores, intervals and the paired comparison with the best baseline.

    targets (rows,) are class indices, probabilities (rows, classes), also by baseline.
    """
    scores = {name: _scores(targets, values) for name, values in baselines.items()}
    best = max(scores, key=lambda name: scores[name]["macro_f1"])
    ours, theirs = probabilities.argmax(axis=1), baselines[best].argmax(axis=1)

    def accuracy(rows: np.ndarray) -> float:
        return float((ours[rows] == targets[rows]).mean())

    def f1(rows: np.ndarray, predictions: np.ndarray = ours) -> float:
        return macro_f1(targets[rows], predictions[rows], len(labels))

    def advantage(rows: np.ndarray) -> float:
        return f1(rows) - f1(rows, theirs)

    bootstrap = (len(targets), params.evaluate.bootstrap_samples, params.seed)
    by_class = precision_recall_fscore_support(
        targets, ours, labels=range(len(labels)), zero_division=0
    )
    return {
        "model": _scores(targets, probabilities),
        "baselines": scores,
        "intervals_95": {
            "accuracy": interval_95(accuracy, *bootstrap),
            "macro_f1": interval_95(f1, *bootstrap),
        },
        "versus_best_baseline": {
            "baseline": best,
            "metric": "macro_f1",
            "difference": advantage(np.arange(len(targets))),
            "interval_95": interval_95(advantage, *bootstrap),
        },
        "per_class": {
            label: dict(zip(("precision", "recall", "f1", "rows"), map(float, row), strict=True))
            for label, *row in zip(labels, *by_class, strict=True)
        },
    }


def _scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    predictions = probabilities.argmax(axis=1)
    return {
        "accuracy": float((predictions == targets).mean()),
        "macro_f1": macro_f1(targets, predictions, probabilities.shape[1]),
        "ece": expected_calibration_error(targets, probabilities),
    }
