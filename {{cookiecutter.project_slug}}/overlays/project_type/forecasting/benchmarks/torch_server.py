"""The same model served as most tutorials do it: FastAPI, a plain route, pandas and torch.

PORT=8001 python benchmarks/torch_server.py MODEL, the section `model` of params.yaml as JSON
"""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file

from portfolio_kit.timegrid.series import Series

from {{ cookiecutter.package_name }}.features import LEVELS, Inputs, Windows
from {{ cookiecutter.package_name }}.params import Model
from {{ cookiecutter.package_name }}.predictor import Manifest
from {{ cookiecutter.package_name }}.training.export import Served
from {{ cookiecutter.package_name }}.training.model import Forecaster

MANIFEST = Manifest.model_validate_json(Path("models/manifest.json").read_bytes())
SHAPE = MANIFEST.shape
STEP = pd.Timedelta(SHAPE.step)


def load_model() -> Served:
    weights = load_file(".cache/trained.safetensors")
    # Only the sizes of the inputs matter here: their scale is among the weights.
    inputs = Inputs(
        np.zeros((2, SHAPE.history)),
        np.zeros((2, SHAPE.horizon, len(weights["forecaster.steps_mean"])), np.float32),
    )
    settings = Model.model_validate_json(sys.argv[1])
    forecaster = Forecaster(SHAPE, inputs, settings, 0.0, MANIFEST.positive)
    model = Served(forecaster, MANIFEST.nonnegative)
    model.load_state_dict(weights)
    return model.eval()


class Moment(BaseModel):
    model_config = ConfigDict(extra="allow")  # covariates

    ds: datetime


class Record(Moment):
    y: float


class ForecastRequest(BaseModel):
    history: list[Record]
    future: list[Moment] = []
    h: int


model = load_model()
app = FastAPI()


@app.post("/forecast")
def forecast(body: ForecastRequest) -> dict[str, Any]:
    rows = [record.model_dump() for record in [*body.history, *body.future]]
    table, known = pd.DataFrame(rows), len(body.history)
    table["ds"] = pd.to_datetime(table["ds"], utc=True).dt.tz_localize(None)
    series = Series(
        name="y",
        start=table["ds"].to_numpy("datetime64[s]")[0],
        y=table["y"].to_numpy(np.float64)[:known],
        past=table[SHAPE.past_columns].to_numpy(np.float32)[:known],
        future=table[SHAPE.future_columns].to_numpy(np.float32),
        observed=np.ones(known, dtype=bool),
    )
    inputs = Windows([series], SHAPE).inputs(np.array([0]), np.array([known]))
    widths = MANIFEST.widths_by_series.get(series.name, MANIFEST.widths)
    with torch.no_grad():
        quantiles = model(*map(torch.from_numpy, inputs), torch.tensor([widths]))[0]
    answer = pd.DataFrame(quantiles.numpy(), columns=list(LEVELS))
    first = table["ds"].iloc[known - 1] + STEP
    moments = pd.date_range(first, periods=SHAPE.horizon, freq=STEP)
    answer.insert(0, "ds", [moment.isoformat() for moment in moments])
    answer.insert(0, "unique_id", series.name)
    return {
        "model_version": MANIFEST.version,
        "forecast": answer.head(body.h).to_dict("records"),
        "warning": None,
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
