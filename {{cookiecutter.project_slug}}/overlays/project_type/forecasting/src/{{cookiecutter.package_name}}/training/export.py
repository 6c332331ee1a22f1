"""Writes the trained forecaster as the ONNX file that is evaluated and served."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from portfolio_kit import artifacts, onnx_export, tracking
from portfolio_kit.checkpoint import Checkpoint
from portfolio_kit.errors import UserError
from portfolio_kit.monitoring import reference
from portfolio_kit.timegrid.origins import Origins

from ..data.prepare import HISTORY, Dataset
from ..features import Windows
from ..params import Params
from ..predictor import Manifest, Predictor, questions_of
from ..signals import Signals
from .calibration import fit_margins
from .model import Forecaster

MAX_DIFFERENCE = 1e-3  # of a quantile, as a share of the mean value of its window
COMPARED = 1024  # windows, at most
WORKSHOP = Path(".cache/export")
WEIGHTS = Path(".cache/trained.safetensors")  # for the benchmark, which serves torch as well


def export(
    model: Forecaster,
    windows: Windows,
    train: Origins,
    valid: Origins,
    data: Dataset,
    checkpoint: Checkpoint,
    params: Params,
) -> Manifest:
    """Calibrate `model`, convert it, verify the file, and publish it in `models/`."""
    margins = calibrate(model, windows, valid)
    manifest = Manifest(
        project_type="forecasting",
        version="",  # until the file is written
        precision="fp32",
        data_sha256=data.sha256,
        splits=data.files,
        validation=checkpoint.best,
        max_difference=0.0,
        train_seconds=round(checkpoint.seconds, 1),
        peak_memory_mb=tracking.peak_memory_mb(),
        tracking_run=checkpoint.run_id,
        shape=data.shape,
        windows={"train": len(train.at), "valid": len(valid.at)},
        positive=params.data.positive,
        nonnegative=bool(min(one.y.min() for one in windows.series) >= 0),
        margins=[round(float(margin), 6) for margin in margins],
    )
    served = Served(model, manifest.margins, manifest.nonnegative)
    convert(served, windows, valid)
    predictor = verify(served, manifest, windows, valid, params)
    return publish(predictor, served, windows, valid)


@torch.no_grad()
def calibrate(model: Forecaster, windows: Windows, valid: Origins) -> np.ndarray:
    """Return the margins (levels,) that make the intervals cover on `valid`, normalised."""
    model.eval()
    parts = []
    for batch in valid.batches():
        quantiles, scale = model(*map(torch.from_numpy, windows.inputs(*batch)))
        y, observed = windows.targets(*batch)
        normalised = model.normalise(torch.from_numpy(y).float(), scale)
        parts.append((normalised.numpy(), observed, quantiles.numpy()))
    return fit_margins(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Served(nn.Module):
    """The forecaster with what makes its quantiles usable: units, margins, a floor."""

    margins: torch.Tensor

    def __init__(self, forecaster: Forecaster, margins: list[float], nonnegative: bool) -> None:
        super().__init__()
        self.forecaster, self.nonnegative = forecaster, nonnegative
        self.register_buffer("margins", torch.tensor(margins))

    def forward(self, history: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series."""
        quantiles, scale = self.forecaster(history, steps)
        lowest, low, middle, high, highest = (quantiles + self.margins).unbind(dim=2)
        # Margins may be negative: an interval may shrink, but not beyond the next one.
        low, high = torch.minimum(low, middle), torch.maximum(high, middle)
        lowest, highest = torch.minimum(lowest, low), torch.maximum(highest, high)
        ordered = torch.stack([lowest, low, middle, high, highest], dim=2)
        whole = self.forecaster.denormalise(ordered, scale)
        return torch.relu(whole) if self.nonnegative else whole


def convert(served: Served, windows: Windows, valid: Origins) -> None:
    """Write the model as ONNX into the workshop, traced with two windows of any number."""
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # left by a killed run
    WORKSHOP.mkdir(parents=True)
    shutil.copyfile(artifacts.PROCESSED / HISTORY, WORKSHOP / HISTORY)
    two = valid.take(np.resize(np.arange(len(valid.at)), 2))
    arrays = windows.inputs(*two)._asdict()
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    onnx_export.write(served, inputs, ["quantiles"], free=1, path=WORKSHOP / "model.onnx")


def verify(
    served: Served, manifest: Manifest, windows: Windows, valid: Origins, params: Params
) -> Predictor:
    """Load the file as the API does, and compare it with torch on windows of `valid`.

    Raises `UserError` if a quantile differs by more than `MAX_DIFFERENCE`.
    """
    predictor = Predictor(WORKSHOP, manifest, params.serve)
    inputs = windows.inputs(*valid.spread(COMPARED))
    with torch.inference_mode():
        trained = served(*map(torch.from_numpy, inputs)).numpy()
    level = np.abs(inputs.history).mean(axis=1)[:, None, None] + 1e-12
    difference = float((np.abs(predictor.quantiles(inputs) - trained) / level).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a quantile of ONNX differs from torch's by {difference:.2%}")
    version = artifacts.sha256(WORKSHOP / "model.onnx")[:12]
    predictor.manifest = manifest.model_copy(
        update={"version": version, "max_difference": difference}
    )
    return predictor


def publish(predictor: Predictor, served: Served, windows: Windows, valid: Origins) -> Manifest:
    """Add what `monitor` compares with, and move the file with it into `models/`."""
    questions = questions_of(windows, valid.spread(reference.MAX_ROWS))
    answers, observe = predictor.answer_many(questions), Signals(predictor)
    signals = [observe(*pair).signals for pair in zip(questions, answers, strict=True)]
    reference.write(WORKSHOP, signals)
    save_file(served.state_dict(), WEIGHTS, {"version": predictor.version})
    manifest = artifacts.publish(WORKSHOP, predictor.manifest)
    mlflow.log_metric("onnx_max_difference", manifest.max_difference)
    mlflow.log_param("data_sha256", manifest.data_sha256)
    return manifest
