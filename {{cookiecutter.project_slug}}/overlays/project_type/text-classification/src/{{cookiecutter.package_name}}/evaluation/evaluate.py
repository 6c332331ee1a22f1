"""The evaluate stage: the exported model on the held-out test set, opened only here."""

from typing import Any

import numpy as np
import torch
from sklearn.metrics import precision_recall_fscore_support

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.errors import UserError
from portfolio_kit.intervals import interval_95
from portfolio_kit.records import Versus
from portfolio_kit.report import write_metrics

from ..data.prepare import SPLITS, Dataset, read_split
from ..params import Params
from ..predictor import Predictor
from . import error_analysis, figures
from .baselines import frozen_embeddings, predict_with_baselines
from .confidence import calibration, selective_prediction
from .metrics import ClassScores, Metrics
from .scores import expected_calibration_error, macro_f1


def evaluate(params: Params) -> None:
    """Score model and baselines on the same rows; write `reports/`: metrics, figures, errors."""
    data = artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    model = predictor.manifest
    if model.splits != data.files:
        # Another split would put rows that this model was trained on into the test set.
        raise UserError("models/ comes from another split than data/processed/; run `make train`")
    torch.set_num_threads(cores.threads(params.train.threads))
    labels = model.labels
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
    metrics = Metrics.of(
        model,
        data,
        **compare(test[1], ours, baselines, labels, params),
        calibration=calibration(test[1], ours, model.temperature),
        selective_prediction=selective_prediction(
            test[1], ours, model.target_precision, model.threshold
        ),
        slices=error_analysis.slices(train, test, ours.argmax(axis=1)),
    )
    figures.draw(metrics, test[1], ours, (valid[1], ours_on_valid), labels)
    doubtful = error_analysis.doubtful_labels(embeddings["train"], train[1])
    error_analysis.write(metrics, train, test, ours, doubtful, labels)
    write_metrics(metrics)
    tracking.record_evaluation(params, model.tracking_run, metrics)


def compare(
    targets: np.ndarray,
    probabilities: np.ndarray,
    baselines: dict[str, np.ndarray],
    labels: list[str],
    params: Params,
) -> dict[str, Any]:
    """Return scores, intervals and the paired comparison with the best baseline, for `Metrics`.

    targets (rows,) are class indices, probabilities (rows, classes), also by baseline.
    """
    table = {name: scores(targets, values) for name, values in baselines.items()}
    best = max(table, key=lambda name: table[name]["macro_f1"])
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
        "model": scores(targets, probabilities),
        "baselines": table,
        "intervals_95": {
            "accuracy": interval_95(accuracy, *bootstrap),
            "macro_f1": interval_95(f1, *bootstrap),
        },
        "versus_best_baseline": Versus(
            baseline=best,
            metric="macro_f1",
            difference=advantage(np.arange(len(targets))),
            interval_95=interval_95(advantage, *bootstrap),
        ),
        "per_class": {
            label: ClassScores(precision=precision, recall=recall, f1=f1, rows=rows)
            for label, precision, recall, f1, rows in zip(labels, *by_class, strict=True)
        },
    }


def scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return the metrics of one model: targets (rows,), probabilities (rows, classes)."""
    predictions = probabilities.argmax(axis=1)
    return {
        "accuracy": float((predictions == targets).mean()),
        "macro_f1": macro_f1(targets, predictions, probabilities.shape[1]),
        "ece": expected_calibration_error(targets, probabilities),
    }
