"""Writes the encoder as the ONNX file that is evaluated and served, and compares it with torch."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from .. import artifacts
from ..errors import UserError
from ..params import Params
from ..retrieval.passages import Ids
from ..serving.embedder import Embedder
from ..text import pad
from . import onnx_file
from .encoder import Encoder, embed_texts

MAX_DIFFERENCE = 1e-4  # of a vector's component: far below what changes a ranking
WEIGHTS = Path(".cache/trained.safetensors")  # for the benchmark, which embeds with torch as well


def export(
    model: Encoder,
    backbone: Path,
    samples: list[Ids],
    folder: Path,
    facts: dict[str, Any],
    params: Params,
) -> Embedder:
    """Write the model, with pooling and unit length inside, into a folder, and return it loaded.

    Adds `onnx` and `version` to the facts. Raises `UserError` if a component of a sample's vector
    differs from torch's by more than `MAX_DIFFERENCE`.
    """
    shutil.copyfile(backbone / "tokenizer.json", folder / "tokenizer.json")
    write_onnx(model, samples[:2], folder / "model.onnx")
    facts["version"] = artifacts.sha256(folder / "model.onnx")[:12]
    embedder = Embedder(folder, facts, params.serve)
    ours = embedder.embed(samples)
    difference = float(np.abs(ours - embed_texts(model, samples).numpy()).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a vector of ONNX differs from torch's by {difference}")
    facts["onnx"] = {"max_difference": difference}
    save_file(model.state_dict(), WEIGHTS, {"version": facts["version"]})
    return embedder


def write_onnx(model: Encoder, ids: list[Ids], path: Path) -> None:
    """Trace the model with two texts; the numbers of texts and of tokens stay free."""
    token_ids, mask = map(torch.from_numpy, pad((ids * 2)[:2]))
    inputs = {"input_ids": token_ids, "attention_mask": mask}
    onnx_file.write(model, inputs, ["embeddings"], free=2, path=path)
