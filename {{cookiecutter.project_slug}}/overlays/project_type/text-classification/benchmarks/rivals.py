"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from safetensors import SafetensorError, safe_open

from {{ cookiecutter.package_name }} import cores
from {{ cookiecutter.package_name }}.artifacts import MODELS, PROCESSED, read_manifest
from {{ cookiecutter.package_name }}.errors import UserError
from {{ cookiecutter.package_name }}.training.encoder import fetch_backbone
from {{ cookiecutter.package_name }}.training.export import WEIGHTS

from .results import Goal

PATH = "/predict"
TUTORIAL, LITSERVE = "the tutorial way", "LitServe"
GOALS = (
    Goal("rate", 64, TUTORIAL, at_least=4),
    Goal("rate", 64, LITSERVE, at_least=1.2),
    Goal("p50", 1, TUTORIAL, at_most=0.5),
    Goal("p99", 8, TUTORIAL, at_most=0.5),
)
# Between probabilities. int8 rounds otherwise in each batch, and torch serves fp32.
TOLERANCE = {"fp32": 1e-3, "int8": 0.1}
MAX_CHARACTERS = 500  # short texts, whatever the data
SEED = 13


class Rival(NamedTuple):
    """Another way to serve the model; it reads PORT from the environment."""

    name: str
    about: str
    command: list[str]


def bodies() -> list[str]:
    """Return requests of one text each; of the validation set, as the test set stays closed."""
    read_manifest(PROCESSED, made_by="data")
    texts = pd.read_parquet(PROCESSED / "valid.parquet")["text"].sample(frac=1, random_state=SEED)
    return [json.dumps({"texts": [text[:MAX_CHARACTERS]]}) for text in texts]


def rivals(params: Any, bench_python: Path) -> list[Rival]:
    """Return the rivals; raises `UserError` if the torch weights are not those of the model."""
    try:
        with safe_open(WEIGHTS, "pt") as file:
            trained = (file.metadata() or {}).get("version")
    except (OSError, SafetensorError):
        trained = None
    if trained != read_manifest(MODELS, made_by="train")["version"]:
        raise UserError(f"{WEIGHTS}: not the weights of {MODELS}/; run train")
    folder = Path(__file__).parent
    backbone = fetch_backbone(params.model)
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
