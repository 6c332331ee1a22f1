"""What this API is compared with, what is sent to all, and what the comparison should show."""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from {{ cookiecutter.package_name }}.artifacts import MODELS, PROCESSED, read_manifest
from {{ cookiecutter.package_name }}.errors import UserError
from {{ cookiecutter.package_name }}.features import Shape
from {{ cookiecutter.package_name }}.training.export import WEIGHTS

from .results import Goal

PATH = "/forecast"
TORCH, AUTOETS = "plain torch", "AutoETS in the request"
GOALS = (
    Goal("p50", 1, None, at_most=10),
    Goal("rate", 64, TORCH, at_least=4),
    Goal("rate", 64, AUTOETS, at_least=10),
    Goal("p50", 1, AUTOETS, at_most=0.1),
    Goal("p99", 8, TORCH, at_most=0.5),
)
TOLERANCE = {"fp32": 1e-3}  # as a share of the forecast's mean
OTHER_METHOD = "AutoETS"  # the version in the answers of what does not serve the model
REQUESTS = 128
SEED = 13


class Rival(NamedTuple):
    """Another way to answer the same requests; it reads PORT from the environment."""

    name: str
    about: str
    command: list[str]


def bodies() -> list[str]:
    """Return requests of one series each, with as much history as the model looks at.

    What they ask for lies in the validation block, as the test block stays closed.
    """
    shape = Shape(**read_manifest(MODELS, made_by="train")["shape"])
    start = np.datetime64(read_manifest(PROCESSED, made_by="data")["starts"]["valid"])
    tables = [pd.read_parquet(PROCESSED / f"{name}.parquet") for name in ("train", "valid")]
    rows = pd.concat(tables).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    nth = rows.groupby("unique_id", sort=False).cumcount()
    left = rows.groupby("unique_id", sort=False).cumcount(ascending=False) + 1
    is_origin = (rows["ds"] >= start) & (nth >= shape.history) & (left >= shape.horizon)
    origins = rows.index[is_origin].to_series()
    chosen = origins.sample(min(REQUESTS, len(origins)), random_state=SEED)
    # Moments are UTC if the model knows a time zone, else as they were given.
    rows["ds"] = rows["ds"].dt.strftime(f"%Y-%m-%dT%H:%M:%S{'Z' if shape.timezone else ''}")
    return [json.dumps(request(rows, origin, shape)) for origin in chosen]


def request(rows: pd.DataFrame, origin: int, shape: Shape) -> dict[str, Any]:
    """Return the request for what comes from row `origin` on."""
    known = ["ds", "y", *shape.past_columns, *shape.future_columns]
    history = rows.loc[origin - shape.history : origin - 1, known]
    body: dict[str, Any] = {"history": history.to_dict("records"), "h": shape.horizon}
    if shape.future_columns:
        ahead = rows.loc[origin : origin + shape.horizon - 1, ["ds", *shape.future_columns]]
        body["future"] = ahead.to_dict("records")
    return body


def rivals(params: Any, bench_python: Path) -> list[Rival]:
    """Return the rivals; raises `UserError` if the torch weights are not those of the model."""
    manifest = read_manifest(MODELS, made_by="train")
    try:
        with safe_open(WEIGHTS, "pt") as file:
            trained = (file.metadata() or {}).get("version")
    except (OSError, SafetensorError):
        trained = None
    if trained != manifest["version"]:
        raise UserError(f"{WEIGHTS}: not the weights of {MODELS}/; run train")
    folder = Path(__file__).parent
    season = min(manifest["shape"]["season_lengths"])
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

    It is infinite if the steps differ, or the model. None of AutoETS: its values are other ones.
    """
    (mine, values), (its, others) = map(_table, (ours, theirs))
    if mine != its:
        return math.inf
    if theirs["model_version"] == OTHER_METHOD:
        return None
    if theirs["model_version"] != ours["model_version"]:
        return math.inf
    return float(np.abs(values - others).max() / (np.abs(values).mean() + 1e-12))


def _table(answer: dict[str, Any]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return series and time of each step, and its values (steps, 5)."""
    names = ("y_hat", "lo_80", "hi_80", "lo_95", "hi_95")
    steps = answer["forecast"]
    values = [[step[name] for name in names] for step in steps]
    return [(step["unique_id"], step["ds"]) for step in steps], np.array(values)
