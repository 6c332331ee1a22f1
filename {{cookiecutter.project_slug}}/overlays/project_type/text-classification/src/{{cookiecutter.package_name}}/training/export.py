"""Writes the trained classifier as the ONNX file that is evaluated and served."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from .. import artifacts
from ..errors import UserError
from ..params import Serving
from ..serving.predictor import Predictor
from ..text import pad
from .model import Classifier, embed_texts

FILES = ["model.onnx", "tokenizer.json"]
MAX_DIFFERENCE = 1e-3  # of a logit: far below what changes a label


def export(
    model: Classifier,
    backbone: Path,
    texts: list[str],
    ids: list[list[int]],
    targets: torch.Tensor,
    facts: dict[str, Any],
    settings: Serving,
) -> dict[str, Any]:
    """Write `models/` and return its manifest.

    The files are loaded as the API loads them and compared with torch on `texts` (token ids `ids`,
    class indices `targets`) before they replace those of the last run. Raises `UserError` if a
    logit differs by more than `MAX_DIFFERENCE`.
    """
    with tempfile.TemporaryDirectory(dir=".", prefix=".export-") as partial:
        folder = Path(partial)
        write_onnx(model, ids[:2], folder / "model.onnx")
        shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
        facts["version"] = artifacts.sha256(folder / "model.onnx")[:12]
        artifacts.write_manifest(folder, FILES, facts)

        served = torch.from_numpy(Predictor.load(folder, settings).logits(texts))
        with torch.inference_mode():
            trained = model.head(embed_texts(model, ids))
        right, right_served = ((x.argmax(dim=1) == targets).sum() for x in (trained, served))
        facts["onnx"] = {
            "max_difference": (served - trained).abs().max().item(),
            "accuracy_lost": (right - right_served).item() / len(texts),
        }
        if not facts["onnx"]["max_difference"] <= MAX_DIFFERENCE:
            raise UserError(f"export: ONNX differs from torch: {facts['onnx']}")
        for name in FILES:
            artifacts.write_atomic(artifacts.MODELS / name, (folder / name).replace)
    return artifacts.write_manifest(artifacts.MODELS, FILES, facts)


def write_onnx(model: Classifier, ids: list[list[int]], path: Path) -> None:
    """Trace the model with two texts; the numbers of texts and of tokens stay free."""
    inputs = tuple(map(torch.from_numpy, pad(ids)))
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        model.eval(),
        inputs,
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_shapes=(free, free),
        external_data=False,
        verbose=False,
    )
