"""The evaluate stage: the exported model on the held-out test set, opened only here."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import precision_recall_fscore_support

from portfolio_kit import artifacts, cores, tracking
from portfolio_kit.classification.calibration import PRECISIONS, abstention_threshold
from portfolio_kit.errors import UserError
from portfolio_kit.intervals import interval_95, share_interval_95
from portfolio_kit.records import Versus
from portfolio_kit.report import write_metrics

from ..data.prepare import SPLITS, Dataset, read_split
from ..params import Params
from ..predictor import VALIDATION, Manifest, Predictor, softmax
from . import error_analysis, figures
from .baselines import frozen_embeddings, predict_with_baselines
from .metrics import Calibration, ClassScores, Metrics, SelectivePrediction
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
    splits = {name: read_split(name) for name in SPLITS}
    for rows in splits.values():
        rows["target"] = rows["label"].map(model.labels.index)
    train, _, test = splits.values()
    valid = pd.read_parquet(artifacts.MODELS / VALIDATION)  # as answered before the refit

    print("evaluating the exported model and three baselines")
    logits, _ = predictor.compute(predictor.prepare(test["text"].tolist()))
    ours = softmax(logits)
    test["answer"] = np.array(model.labels)[ours.argmax(axis=1)]
    test["is_right"] = test["answer"] == test["label"]
    test["confidence"] = ours.max(axis=1)
    test["uncalibrated"] = softmax(logits * model.temperature).max(axis=1)
    embeddings = frozen_embeddings(splits, params.model)
    baselines = predict_with_baselines(splits, embeddings, "valid" in model.trained_on)
    metrics = Metrics.of(
        model,
        data,
        **compare(test["target"].to_numpy(), ours, baselines, params),
        **examine(test, valid, model),
        slices=error_analysis.slices(pd.concat([splits[name] for name in model.trained_on]), test),
    )
    figures.draw(metrics, test, valid)
    doubtful = error_analysis.doubtful_labels(train, embeddings["train"])
    error_analysis.write(metrics, len(train), test, doubtful)
    write_metrics(metrics)
    tracking.record_evaluation(params, model.tracking_run, metrics)


def compare(
    targets: np.ndarray, ours: np.ndarray, baselines: dict[str, np.ndarray], params: Params
) -> dict[str, Any]:
    """Return scores, intervals and the paired comparison with the best baseline, for `Metrics`.

    targets (rows,) are class indices; `ours` and each baseline's are probabilities (rows, classes).
    """
    model = scores(targets, ours)
    table = {name: scores(targets, theirs) for name, theirs in baselines.items()}
    best = max(table, key=lambda name: table[name]["macro_f1"])
    mine, its = ours.argmax(axis=1), baselines[best].argmax(axis=1)
    samples, seed = params.evaluate.bootstrap_samples, params.seed
    interval = partial(interval_95, rows=len(targets), samples=samples, seed=seed)

    def f1(predictions: np.ndarray, rows: np.ndarray) -> float:
        return macro_f1(targets[rows], predictions[rows], ours.shape[1])

    return {
        "model": model,
        "baselines": table,
        "intervals_95": {
            "accuracy": interval(lambda rows: (mine[rows] == targets[rows]).mean()),
            "macro_f1": interval(lambda rows: f1(mine, rows)),
        },
        "versus_best_baseline": Versus(
            baseline=best,
            metric="macro_f1",
            difference=model["macro_f1"] - table[best]["macro_f1"],
            interval_95=interval(lambda rows: f1(mine, rows) - f1(its, rows)),
        ),
    }


def scores(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return the metrics of one model: targets (rows,), probabilities (rows, classes)."""
    predictions = probabilities.argmax(axis=1)
    is_right = predictions == targets
    return {
        "accuracy": float(is_right.mean()),
        "macro_f1": macro_f1(targets, predictions, probabilities.shape[1]),
        "ece": expected_calibration_error(probabilities.max(axis=1), is_right),
    }


def examine(test: pd.DataFrame, valid: pd.DataFrame, model: Manifest) -> dict[str, Any]:
    """Return calibration, selective prediction and the scores of each class, for `Metrics`.

    The threshold is that of the model, whatever `serve.review_below` says.
    """
    before, after = (
        expected_calibration_error(test[column], test["is_right"])
        for column in ("uncalibrated", "confidence")
    )
    columns = precision_recall_fscore_support(
        test["label"], test["answer"], labels=model.labels, zero_division=0
    )
    by_class = pd.DataFrame(columns, ["precision", "recall", "f1", "rows"], model.labels)
    confidence, is_right = valid["confidence"].to_numpy(), valid["is_right"].to_numpy()
    options = {level: abstention_threshold(confidence, is_right, level) for level in PRECISIONS}
    return {
        "calibration": Calibration(
            temperature=model.temperature, ece_before=before, ece_after=after
        ),
        "selective_prediction": select(test, valid, model.target_precision, model.threshold),
        "review_options": [select(test, valid, *option) for option in options.items()],
        "per_class": {label: ClassScores(**row) for label, row in by_class.to_dict().items()},
    }


def select(
    test: pd.DataFrame, valid: pd.DataFrame, precision: float, threshold: float
) -> SelectivePrediction:
    """Return how many answers a threshold accepts that was chosen for a precision."""
    accepted = test["is_right"][test["confidence"] >= threshold]
    rows, hits = len(accepted), int(accepted.sum())
    return SelectivePrediction(
        target_precision=precision,
        threshold=threshold,
        valid_coverage=float((valid["confidence"] >= threshold).mean()),
        coverage=rows / len(test),
        precision=hits / rows if rows else None,
        precision_interval_95=share_interval_95(hits, rows) if rows else None,
    )
