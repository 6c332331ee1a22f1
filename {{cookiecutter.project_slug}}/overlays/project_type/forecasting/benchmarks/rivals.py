"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from portfolio_kit.artifacts import MODELS, PROCESSED, read_manifest
from portfolio_kit.bench.rivals import Goal, Rival, Rivals
from portfolio_kit.errors import UserError

from {{ cookiecutter.package_name }}.data.prepare import Dataset
from {{ cookiecutter.package_name }}.features import LEVELS, Shape
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.predictor import Manifest
from {{ cookiecutter.package_name }}.training.export import WEIGHTS

TORCH, AUTOETS = "plain torch", "AutoETS in the request"
OTHER_METHOD = "AutoETS"  # the version in the answers of a server of another method
REQUESTS = 128
SEED = 13


def bodies() -> list[str]:
    """Return requests of one series each, with as much history as the model needs.

    They ask for steps of the validation block: the test block stays closed.
    """
    shape = read_manifest(MODELS, Manifest, made_by="train").shape
    start, _ = read_manifest(PROCESSED, Dataset, made_by="data").boundaries
    tables = [pd.read_parquet(PROCESSED / f"{name}.parquet") for name in ("train", "valid")]
    rows = pd.concat(tables).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    nth = rows.groupby("unique_id", sort=False).cumcount()
    left = rows.groupby("unique_id", sort=False).cumcount(ascending=False) + 1
    is_origin = (rows["ds"] >= start) & (nth >= shape.history) & (left >= shape.horizon)
    origins = rows.index[is_origin].to_series()
    chosen = origins.sample(min(REQUESTS, len(origins)), random_state=SEED)
    rows["ds"] = [shape.written(moment) for moment in rows["ds"].to_numpy("datetime64[s]")]
    return [json.dumps(request(rows, origin, shape)) for origin in chosen]


def request(rows: pd.DataFrame, origin: int, shape: Shape) -> dict[str, Any]:
    """Return the request for the steps from row `origin` on."""
    known = ["ds", "y", *shape.past_columns, *shape.future_columns]
    history = rows.loc[origin - shape.history : origin - 1, known]
    body: dict[str, Any] = {"history": history.to_dict("records"), "h": shape.horizon}
    if shape.future_columns:
        ahead = rows.loc[origin : origin + shape.horizon - 1, ["ds", *shape.future_columns]]
        body["future"] = ahead.to_dict("records")
    return body


def rivals(params: Params, bench_python: Path) -> list[Rival]:
    """Return the rivals; raises `UserError` if the torch weights are not those of the model."""
    manifest = read_manifest(MODELS, Manifest, made_by="train")
    try:
        with safe_open(WEIGHTS, "pt") as file:
            trained = (file.metadata() or {}).get("version")
    except (OSError, SafetensorError):
        trained = None
    if trained != manifest.version:
        raise UserError(f"{WEIGHTS}: not the weights of {MODELS}/; run `make train`")
    folder = Path(__file__).parent
    season = manifest.shape.shortest
    return [
        Rival(
            TORCH,
            f"FastAPI {version('fastapi')}, a plain `def` route, pandas {version('pandas')}, "
            f"torch {version('torch')}",
            [sys.executable, str(folder / "torch_server.py"), params.model.model_dump_json()],
        ),
        Rival(
            AUTOETS,
            f"no model: AutoETS of statsforecast {version('statsforecast')}, with seasons of "
            f"{season} steps, fitted to the history in each request",
            [sys.executable, str(folder / "autoets_server.py"), str(season)],
        ),
    ]


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float | None:
    """Return the largest difference between values, as a share of the forecast's mean.

    It is infinite if the steps or the model differ. None for AutoETS, whose values are others.
    """
    (mine, values), (its, others) = map(table, (ours, theirs))
    if mine != its:
        return math.inf
    if theirs["model_version"] == OTHER_METHOD:
        return None
    if theirs["model_version"] != ours["model_version"]:
        return math.inf
    return float(np.abs(values - others).max() / (np.abs(values).mean() + 1e-12))


def table(answer: dict[str, Any]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return series and time of each step, and its values (steps, levels)."""
    steps = answer["forecast"]
    values = [[step[name] for name in LEVELS] for step in steps]
    return [(step["unique_id"], step["ds"]) for step in steps], np.array(values)


RIVALS = Rivals(
    path="/forecast",
    bodies=bodies,
    others=rivals,
    goals=(
        Goal("p50", 1, None, at_most=10),
        Goal("rate", 64, TORCH, at_least=4),
        Goal("rate", 64, AUTOETS, at_least=10),
        Goal("p50", 1, AUTOETS, at_most=0.1),
        Goal("p99", 8, TORCH, at_most=0.5),
    ),
    tolerance={"fp32": 1e-3},  # as a share of the forecast's mean
    difference=difference,
)
