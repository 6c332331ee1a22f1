"""Writes the trained classifier as the ONNX file that is evaluated and served."""

import logging
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from onnxruntime.quantization import quantize_dynamic
from safetensors.torch import save_file
from torch import nn

from .. import artifacts
from ..errors import UserError
from ..monitoring import reference
from ..monitoring.reference import MAX_ROWS, REFERENCE
from ..params import Params
from ..serving.observe import FAMILIAR, Observer, write_familiar
from ..serving.predictor import Predictor, softmax
from ..text import pad
from . import onnx_file
from .calibration import fit_temperature, review_threshold
from .encoder import embed_texts
from .model import Classifier, Examples

FILES = ["model.onnx", "tokenizer.json", FAMILIAR, REFERENCE]
MAX_DIFFERENCE = 1e-3  # of a logit: far below what changes a label
MAX_EMBEDDED = 1_000  # training texts whose embeddings are averaged
MAX_INT8_LOSS = 0.005  # of accuracy on the validation set
WORKSHOP = Path(".cache/export")
WEIGHTS = Path(".cache/trained.safetensors")  # for the benchmark, which serves torch as well


class Measured(NamedTuple):
    """A model file, loaded, and what it computes of the validation set."""

    folder: Path
    predictor: Predictor
    logits: np.ndarray  # (rows, classes)
    embeddings: np.ndarray  # (rows, hidden)
    facts: dict[str, float]  # its size, its speed on one thread, its accuracy


def export(
    model: Classifier,
    backbone: Path,
    train: Examples,
    valid: Examples,
    facts: dict[str, Any],
    params: Params,
) -> dict[str, Any]:
    """Calibrate `model`, write `models/` and return its manifest.

    The files are loaded as the API loads them and compared with torch on `valid` before they
    replace those of the last run. Raises `UserError` if a logit differs by more than
    `MAX_DIFFERENCE`.
    """
    targets = valid.targets.numpy()
    with torch.inference_mode():
        embeddings = embed_texts(model, valid.ids)
        facts["temperature"] = fit_temperature(model.head(embeddings).numpy(), targets)
        for weights in model.head.parameters():  # a linear layer: its logits are divided with it
            weights.div_(facts["temperature"])
        trained = model.head(embeddings).numpy()

    shutil.rmtree(WORKSHOP, ignore_errors=True)  # what a killed run left
    folders = WORKSHOP / "fp32", WORKSHOP / "int8"
    for folder in folders:
        folder.mkdir(parents=True)
        shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
    write_onnx(model, valid.ids[:2], folders[0] / "model.onnx")
    write_int8(*(folder / "model.onnx" for folder in folders))
    fp32, int8 = (measure(folder, valid, facts, params) for folder in folders)
    facts["fp32"], facts["int8"] = fp32.facts, int8.facts
    difference = float(np.abs(fp32.logits - trained).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a logit of ONNX differs from torch's by {difference}")
    facts["onnx"] = {
        "max_difference": difference,
        "accuracy_lost": accuracy(trained, targets) - fp32.facts["accuracy"],
    }
    int8_loss = fp32.facts["accuracy"] - int8.facts["accuracy"]
    chosen = fp32
    if params.train.int8 and int8_loss <= MAX_INT8_LOSS:
        chosen = int8
    elif params.train.int8:
        print(f"train.int8: not taken, it loses {int8_loss:.2%} of accuracy on the validation set")

    confidence = softmax(chosen.logits).max(axis=1)
    is_right = chosen.logits.argmax(axis=1) == targets
    precision = params.train.review_precision
    facts["precision"] = chosen.folder.name
    facts["review"] = {
        "target_precision": precision,
        "threshold": review_threshold(confidence, is_right, precision),
    }
    facts["version"] = artifacts.sha256(chosen.folder / "model.onnx")[:12]
    write_reference(chosen, train, valid)
    for name in FILES:
        artifacts.write_atomic(
            artifacts.MODELS / name, partial(shutil.copyfile, chosen.folder / name)
        )
    save_file(model.state_dict(), WEIGHTS, {"version": facts["version"]})
    shutil.rmtree(WORKSHOP)
    return artifacts.write_manifest(artifacts.MODELS, FILES, facts)


def write_reference(chosen: Measured, train: Examples, valid: Examples) -> None:
    """Write what `monitor` compares with: words and embeddings of `train`, signals of `valid`."""
    some = np.linspace(0, len(train.ids) - 1, min(len(train.ids), MAX_EMBEDDED)).astype(int)
    _, embeddings = chosen.predictor.compute([train.ids[row] for row in some])
    write_familiar(chosen.folder, train.texts, embeddings)
    observe = Observer(chosen.folder)
    answers = chosen.predictor.describe(chosen.logits, chosen.embeddings)
    pairs = zip(valid.texts[:MAX_ROWS], answers, strict=False)
    reference.write(chosen.folder, [observe(*pair).signals for pair in pairs])


class Served(nn.Module):
    """The classifier with its two results: scores, and what they come from."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (texts, classes) and embeddings (texts, hidden)."""
        embeddings = self.model.embed(input_ids, attention_mask)
        return self.model.head(embeddings), embeddings


def write_onnx(model: Classifier, ids: list[list[int]], path: Path) -> None:
    """Trace the model with two texts; the numbers of texts and of tokens stay free."""
    token_ids, mask = map(torch.from_numpy, pad(ids))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_file.write(Served(model), inputs, ["logits", "embeddings"], free=2, path=path)


def write_int8(fp32: Path, int8: Path) -> None:
    """Write the model with weights of 8 bits, with a scale for each column of a matrix.

    Activations get theirs while computing, one for a whole batch: so an answer depends a little on
    what else is in the batch. A bit less in range keeps older processors from overflowing.
    """
    logging.disable(logging.WARNING)  # it advises what helps convolutions
    quantize_dynamic(fp32, int8, per_channel=True, reduce_range=True)
    logging.disable(logging.NOTSET)


def measure(folder: Path, valid: Examples, facts: dict[str, Any], params: Params) -> Measured:
    """Load a model file as the API does, but on one thread, and use it on `valid`."""
    predictor = Predictor(folder, facts, params.serve.model_copy(update={"threads": 1}))
    start = time.perf_counter()
    logits, embeddings = predictor.compute(valid.ids)
    seconds = time.perf_counter() - start
    size = {
        "megabytes": round((folder / "model.onnx").stat().st_size / 1e6, 1),
        "milliseconds_a_text": round(1000 * seconds / len(valid.ids), 2),
        "accuracy": accuracy(logits, valid.targets.numpy()),
    }
    return Measured(folder, predictor, logits, embeddings, size)


def accuracy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the share of rows whose largest logit is at their target."""
    return float((logits.argmax(axis=1) == targets).mean())
