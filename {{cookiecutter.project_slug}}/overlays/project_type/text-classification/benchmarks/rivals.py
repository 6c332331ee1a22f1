"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from portfolio_kit import cores
from portfolio_kit.artifacts import MODELS, PROCESSED, read_manifest
from portfolio_kit.bench.rivals import Goal, Rival, Rivals
from portfolio_kit.errors import UserError
from portfolio_kit.text.encoder import fetch_backbone

from {{ cookiecutter.package_name }}.data.prepare import Dataset
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Manifest
from {{ cookiecutter.package_name }}.training.export import WEIGHTS

TUTORIAL, LITSERVE = "the tutorial way", "LitServe"
MAX_CHARACTERS = 500  # short texts, whatever the data
SEED = 13


def bodies() -> list[str]:
    """Return requests of one text each, from the validation set: the test set stays closed."""
    read_manifest(PROCESSED, Dataset, made_by="data")
    texts = pd.read_parquet(PROCESSED / "valid.parquet")["text"].sample(frac=1, random_state=SEED)
    return [json.dumps({"texts": [text[:MAX_CHARACTERS]]}) for text in texts]


def rivals(params: Params, bench_python: Path) -> list[Rival]:
    """Return the rivals; raises `UserError` if the torch weights are not those of the model."""
    try:
        with safe_open(WEIGHTS, "pt") as file:
            trained = (file.metadata() or {}).get("version")
    except (OSError, SafetensorError):
        trained = None
    if trained != read_manifest(MODELS, Manifest, made_by="train").version:
        raise UserError(f"{WEIGHTS}: not the weights of {MODELS}/; run `make train`")
    folder = Path(__file__).parent
    backbone = fetch_backbone(params.model.backbone, params.model.sha256)
    return [
        Rival(
            TUTORIAL,
            f"FastAPI {version('fastapi')}, a plain `def` route, transformers "
            f"{version('transformers')}, torch {version('torch')}",
            [sys.executable, str(folder / "tutorial_server.py"), str(backbone)],
        ),
        Rival(
            LITSERVE,
            "the same ONNX file, in batches, with the settings that did best there",
            [str(bench_python), str(folder / "litserve_server.py"), str(cores.available())],
        ),
    ]


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the largest difference between probabilities; infinite if a label differs."""
    largest = 0.0
    for one, other in zip(ours["predictions"], theirs["predictions"], strict=True):
        mine, its = one["probabilities"], other["probabilities"]
        if one["label"] != other["label"] or mine.keys() != its.keys():
            return math.inf
        largest = max(largest, *(abs(mine[label] - its[label]) for label in mine))
    return largest


RIVALS = Rivals(
    path="/predict",
    bodies=bodies,
    others=rivals,
    goals=(
        Goal("rate", 64, TUTORIAL, at_least=4),
        Goal("rate", 64, LITSERVE, at_least=1.2),
        Goal("p50", 1, TUTORIAL, at_most=0.5),
        Goal("p99", 8, TUTORIAL, at_most=0.5),
    ),
    # Between probabilities. int8 rounds differently in each batch, and torch serves fp32.
    tolerance={"fp32": 1e-3, "int8": 0.1},
    difference=difference,
)
