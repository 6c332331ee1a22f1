"""Writes the trained classifier as the ONNX file that is evaluated and served."""

import logging
import shutil
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import torch
from onnxruntime.quantization import quantize_dynamic
from safetensors.torch import save_file
from sklearn.metrics import accuracy_score

from portfolio_kit import artifacts, onnx_export, tracking
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.classification.calibration import (
    abstention_threshold,
    fit_temperature,
    review_advice,
)
from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import reference
from portfolio_kit.text.encoder import embed_texts
from portfolio_kit.text.tokens import pad

from ..data.prepare import Dataset
from ..params import Params
from ..predictor import VALIDATION, Manifest, ModelFile, Predictor, softmax
from ..signals import Signals, write_vocabulary
from .model import Classifier, Examples

MAX_DIFFERENCE = 1e-3  # of a logit: far below what changes a label
MAX_INT8_LOSS = 0.005  # of accuracy on the validation set
WORKSHOP = Path(".cache/export")
FP32, INT8 = (WORKSHOP / precision / "model.onnx" for precision in ("fp32", "int8"))
WEIGHTS = Path(".cache/trained.safetensors")  # for the benchmark, which serves torch as well


def export(
    model: Classifier,
    backbone: Path,
    train: Examples,
    valid: Examples,
    data: Dataset,
    checkpoint: Checkpoint,
    params: Params,
) -> Manifest:
    """Calibrate `model`, convert it, verify the files, and return the manifest of the chosen one.

    The workshop then holds all that is published.
    """
    with torch.inference_mode():
        logits = model.head(embed_texts(model, valid.ids)).numpy()
        temperature = fit_temperature(logits, valid.targets.numpy())
        for weights in model.head.parameters():  # linear, so this divides its logits
            weights.div_(temperature)
    manifest = Manifest(
        project_type="text-classification",
        version="",  # until the file is chosen
        precision="fp32",
        data_sha256=data.sha256,
        splits=data.files,
        validation=checkpoint.best,
        max_difference=0.0,
        train_seconds=0.0,
        peak_memory_mb=0.0,
        tracking_run=checkpoint.run_id,
        examples=data.examples,
        labels=sorted(data.classes),
        max_tokens=params.model.max_tokens,
        backbone=params.model.backbone,
        temperature=temperature,
        target_precision=params.train.review_precision,
        trained_on=["train"],
        model_files={},
    )
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # left by a killed run
    for file in (FP32, INT8):
        file.parent.mkdir(parents=True)
        shutil.copyfile(backbone / "tokenizer.json", file.with_name("tokenizer.json"))
    convert(model, valid)
    manifest = verify(manifest, logits / temperature, valid, params)
    describe(manifest, train, valid, params)
    return manifest


def replace(
    model: Classifier, manifest: Manifest, train: Examples, valid: Examples, params: Params
) -> Manifest:
    """Convert `model` into the place of the one that was exported, and return its manifest.

    What was chosen and measured on `valid` stays: `model` was trained on those rows.
    """
    with torch.inference_mode():
        for weights in model.head.parameters():
            weights.div_(manifest.temperature)
        trained = model.head(embed_texts(model, valid.ids)).numpy()
    convert(model, valid)
    predictor = Predictor(FP32.parent, manifest, params.serve)
    logits, _ = predictor.compute(valid.ids)
    error = onnx_export.largest_difference(logits, trained, MAX_DIFFERENCE, "a logit")
    if manifest.precision == "int8":
        predictor = Predictor(INT8.parent, manifest, params.serve)
        changed = (predictor.compute(valid.ids)[0].argmax(axis=1) != logits.argmax(axis=1)).mean()
        if changed > 10 * MAX_INT8_LOSS:  # of rows trained on, whose accuracy tells less
            raise UserError(f"train.int8: a refit changes {changed:.1%} of labels; set it false")
    write_vocabulary(predictor, train.texts, train.ids)
    return manifest.model_copy(update={"trained_on": ["train", "valid"], "max_difference": error})


def convert(model: Classifier, valid: Examples) -> None:
    """Write the model as ONNX to `FP32` and `INT8`."""
    token_ids, mask = map(torch.from_numpy, pad(valid.ids[:2]))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_export.write(model, inputs, ["logits", "embeddings"], free=2, path=FP32)
    logging.disable(logging.WARNING)  # its advice is for convolutions
    # Weights are scaled per column, activations per batch: an answer depends a little on the rest
    # of its batch. Reducing the range by one bit avoids overflow on older processors.
    quantize_dynamic(FP32, INT8, per_channel=True, reduce_range=True)
    logging.disable(logging.NOTSET)


def verify(manifest: Manifest, trained: np.ndarray, valid: Examples, params: Params) -> Manifest:
    """Compare both files with torch on `valid`, as the API loads them, and choose one.

    `trained` are torch's logits (rows, classes). Returns the manifest of the chosen file; raises
    `UserError` if a logit of fp32 differs by more than `MAX_DIFFERENCE`.
    """
    one_thread = params.serve.model_copy(update={"threads": 1})
    targets, logits, files = valid.targets.numpy(), {}, {}
    for file in (FP32, INT8):
        predictor, precision = Predictor(file.parent, manifest, one_thread), file.parent.name
        start = time.perf_counter()
        logits[precision], _ = predictor.compute(valid.ids)
        files[precision] = ModelFile(
            megabytes=round(file.stat().st_size / 1e6, 1),
            milliseconds_per_text=round(1000 * (time.perf_counter() - start) / len(valid.ids), 2),
            accuracy=accuracy_score(targets, logits[precision].argmax(axis=1)),
        )
    difference = onnx_export.largest_difference(logits["fp32"], trained, MAX_DIFFERENCE, "a logit")
    loss = files["fp32"].accuracy - files["int8"].accuracy
    chosen = "int8" if params.train.int8 and loss <= MAX_INT8_LOSS else "fp32"
    if params.train.int8 and chosen == "fp32":
        print(f"train.int8: not used, it loses {loss:.2%} of accuracy on the validation set")
    confidence = softmax(logits[chosen]).max(axis=1)
    is_right = logits[chosen].argmax(axis=1) == targets
    answers = pd.DataFrame({"is_right": is_right, "confidence": confidence})
    answers.to_parquet(WORKSHOP / chosen / VALIDATION)
    if advice := review_advice(confidence, is_right, manifest.target_precision):
        print(advice)
    return manifest.model_copy(
        update={
            "precision": chosen,
            "model_files": files,
            "max_difference": difference,
            "accuracy_lost": accuracy_score(targets, trained.argmax(axis=1))
            - files["fp32"].accuracy,
            "threshold": abstention_threshold(confidence, is_right, manifest.target_precision),
        }
    )


def describe(manifest: Manifest, train: Examples, valid: Examples, params: Params) -> None:
    """Write what `monitor` compares with: training texts, and signals of answers to `valid`."""
    predictor = Predictor(WORKSHOP / manifest.precision, manifest, params.serve)
    write_vocabulary(predictor, train.texts, train.ids)
    observe, texts = Signals(predictor), valid.texts[: reference.MAX_ROWS]
    pairs = zip(texts, predictor.answer(valid.ids[: len(texts)]), strict=True)
    reference.write(predictor.folder, [observe(text, answer).signals for text, answer in pairs])


def publish(manifest: Manifest, model: Classifier, seconds: float) -> Manifest:
    """Move the chosen file, with all that belongs to it, into `models/`."""
    folder = WORKSHOP / manifest.precision
    found = {
        "version": artifacts.sha256(folder / "model.onnx")[:12],
        "train_seconds": round(seconds, 1),
        "peak_memory_mb": tracking.peak_memory_mb(),
    }
    manifest = manifest.model_copy(update=found)
    save_file(model.state_dict(), WEIGHTS, {"version": manifest.version})
    manifest = artifacts.publish(folder, manifest)
    shutil.rmtree(WORKSHOP)
    mlflow.log_metric("onnx_max_difference", manifest.max_difference)
    mlflow.log_param("data_sha256", manifest.data_sha256)
    return manifest
