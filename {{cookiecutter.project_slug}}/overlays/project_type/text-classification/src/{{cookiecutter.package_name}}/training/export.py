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
from .model import Classifier, Examples, embed_texts

FILES = ["model.onnx", "tokenizer.json"]
MAX_DIFFERENCE = 1e-3  # of a logit: far below what changes a label


def export(
    model: Classifier, backbone: Path, valid: Examples, facts: dict[str, Any], settings: Serving
) -> dict[str, Any]:
    """Write `models/` and return its manifest.

    The files are loaded as the API loads them and compared with torch on `valid` before they
    replace those of the last run. Raises `UserError` if a logit differs by more than
    `MAX_DIFFERENCE`.
    """
    with tempfile.TemporaryDirectory(dir=".", prefix=".export-") as partial:
        folder = Path(partial)
        write_onnx(model, valid.ids[:2], folder / "model.onnx")
        shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
        facts["version"] = artifacts.sha256(folder / "model.onnx")[:12]
        artifacts.write_manifest(folder, FILES, facts)

        served = torch.from_numpy(Predictor.load(folder, settings).logits(valid.texts))
        with torch.inference_mode():
            trained = model.head(embed_texts(model, valid.ids))
        right, right_served = ((x.argmax(dim=1) == valid.targets).sum() for x in (trained, served))
        facts["onnx"] = {
            "max_difference": (served - trained).abs().max().item(),
            "accuracy_lost": (right - right_served).item() / len(valid.texts),
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
    names = ["input_ids", "attention_mask"]
    shapes: Any = {"input_names": names, "output_names": ["logits"], "dynamic_shapes": (free, free)}
    torch.onnx.export(model.eval(), inputs, path, **shapes, external_data=False, verbose=False)
