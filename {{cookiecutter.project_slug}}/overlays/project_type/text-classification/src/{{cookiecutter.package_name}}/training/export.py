"""Writes the trained classifier as the ONNX file that is evaluated and served."""

import logging
import shutil
import time
from pathlib import Path

import mlflow
import numpy as np
import torch
from onnxruntime.quantization import quantize_dynamic
from safetensors.torch import save_file
from torch import nn

from portfolio_kit import artifacts, onnx_export, tracking
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import reference
from portfolio_kit.text.encoder import embed_texts
from portfolio_kit.text.tokens import pad

from ..data.prepare import Dataset
from ..params import Params
from ..predictor import Manifest, ModelFile, Predictor, softmax
from ..signals import Signals, write_vocabulary
from .calibration import abstention_threshold, fit_temperature
from .model import Classifier, Examples

MAX_DIFFERENCE = 1e-3  # of a logit: far below what changes a label
MAX_INT8_LOSS = 0.005  # of accuracy on the validation set
MAX_EMBEDDED = 1_000  # training texts whose embeddings are averaged
WORKSHOP = Path(".cache/export")
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
    """Calibrate `model`, convert it, verify the files, and publish them in `models/`."""
    temperature, logits = calibrate(model, valid)
    manifest = Manifest(
        project_type="text-classification",
        version="",  # until the file is chosen
        precision="fp32",
        data_sha256=data.sha256,
        splits=data.files,
        validation=checkpoint.best,
        max_difference=0.0,
        train_seconds=round(checkpoint.seconds, 1),
        peak_memory_mb=tracking.peak_memory_mb(),
        tracking_run=checkpoint.run_id,
        labels=sorted(data.classes),
        max_tokens=params.model.max_tokens,
        backbone=params.model.backbone,
        temperature=temperature,
        target_precision=params.train.review_precision,
    )
    convert(model, backbone, valid)
    chosen = verify(manifest, logits, valid, params)
    return publish(chosen, model, train, valid)


def calibrate(model: Classifier, valid: Examples) -> tuple[float, np.ndarray]:
    """Fold the temperature into the head; return it and the calibrated logits (rows, classes)."""
    with torch.inference_mode():
        embeddings = embed_texts(model, valid.ids)
        temperature = fit_temperature(model.head(embeddings).numpy(), valid.targets.numpy())
        for weights in model.head.parameters():  # linear, so this divides its logits
            weights.div_(temperature)
        return temperature, model.head(embeddings).numpy()


class Served(nn.Module):
    """The classifier with a second output: the embedding that `monitor` compares."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (batch, classes) and unit vectors (batch, hidden)."""
        embeddings = self.model.embed(input_ids, attention_mask)
        return self.model.head(embeddings), embeddings


def convert(model: Classifier, backbone: Path, valid: Examples) -> None:
    """Write the model as ONNX into a folder of the workshop per precision: fp32 and int8."""
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # left by a killed run
    for precision in ("fp32", "int8"):
        (WORKSHOP / precision).mkdir(parents=True)
        shutil.copyfile(backbone / "tokenizer.json", WORKSHOP / precision / "tokenizer.json")
    fp32, int8 = (WORKSHOP / precision / "model.onnx" for precision in ("fp32", "int8"))
    token_ids, mask = map(torch.from_numpy, pad(valid.ids[:2]))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_export.write(Served(model), inputs, ["logits", "embeddings"], free=2, path=fp32)
    logging.disable(logging.WARNING)  # its advice is for convolutions
    # Weights are scaled per column, activations per batch: an answer depends a little on the rest
    # of its batch. Reducing the range by one bit avoids overflow on older processors.
    quantize_dynamic(fp32, int8, per_channel=True, reduce_range=True)
    logging.disable(logging.NOTSET)


def verify(manifest: Manifest, trained: np.ndarray, valid: Examples, params: Params) -> Predictor:
    """Load both files as the API does, compare them with torch on `valid`, and choose one.

    `trained` are torch's logits (rows, classes). Raises `UserError` if one of fp32 differs by more
    than `MAX_DIFFERENCE`.
    """
    settings = params.serve.model_copy(update={"threads": 1})
    targets = valid.targets.numpy()
    predictors, logits, files = {}, {}, {}
    for precision in ("fp32", "int8"):
        predictors[precision] = Predictor(WORKSHOP / precision, manifest, settings)
        start = time.perf_counter()
        logits[precision] = predictors[precision].logits(valid.ids)
        seconds = time.perf_counter() - start
        files[precision] = ModelFile(
            megabytes=round((WORKSHOP / precision / "model.onnx").stat().st_size / 1e6, 1),
            milliseconds_per_text=round(1000 * seconds / len(valid.ids), 2),
            accuracy=accuracy(logits[precision], targets),
        )
    difference = float(np.abs(logits["fp32"] - trained).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a logit of ONNX differs from torch's by {difference}")
    loss = files["fp32"].accuracy - files["int8"].accuracy
    precision = "int8" if params.train.int8 and loss <= MAX_INT8_LOSS else "fp32"
    if params.train.int8 and precision == "fp32":
        print(f"train.int8: not used, it loses {loss:.2%} of accuracy on the validation set")
    confidence = softmax(logits[precision]).max(axis=1)
    is_right = logits[precision].argmax(axis=1) == targets
    chosen = predictors[precision]
    chosen.manifest = manifest.model_copy(
        update={
            "version": artifacts.sha256(chosen.folder / "model.onnx")[:12],
            "precision": precision,
            "model_files": files,
            "max_difference": difference,
            "accuracy_lost": accuracy(trained, targets) - files["fp32"].accuracy,
            "threshold": abstention_threshold(confidence, is_right, manifest.target_precision),
        }
    )
    return chosen


def publish(chosen: Predictor, model: Classifier, train: Examples, valid: Examples) -> Manifest:
    """Add what `monitor` compares with, and move the chosen file with it into `models/`."""
    some = np.linspace(0, len(train.ids) - 1, min(len(train.ids), MAX_EMBEDDED)).astype(int)
    _, embeddings = chosen.compute([train.ids[row] for row in some])
    write_vocabulary(chosen.folder, train.texts, embeddings)
    observe, most = Signals(chosen), reference.MAX_ROWS
    answers = chosen.answer(valid.ids[:most])
    pairs = zip(valid.texts[:most], answers, strict=True)
    reference.write(chosen.folder, [observe(*pair).signals for pair in pairs])
    save_file(model.state_dict(), WEIGHTS, {"version": chosen.version})
    manifest = artifacts.publish(chosen.folder, chosen.manifest)
    shutil.rmtree(WORKSHOP)
    mlflow.log_metric("onnx_max_difference", manifest.max_difference)
    mlflow.log_param("data_sha256", manifest.data_sha256)
    return manifest


def accuracy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the share of rows whose largest logit is their target's."""
    return float((logits.argmax(axis=1) == targets).mean())
