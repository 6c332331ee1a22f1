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
from portfolio_kit.monitoring import reference
from portfolio_kit.timegrid.conformal import fit_widths
from portfolio_kit.timegrid.origins import Origins

from ..data.prepare import HISTORY, Dataset
from ..features import Windows
from ..params import Params
from ..predictor import Manifest, Predictor, questions_of
from ..signals import Signals
from .model import Forecaster

MAX_DIFFERENCE = 1e-3  # of a quantile, as a share of the spread of its window
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
    widths, widths_by_series = calibrate(model, windows, valid)
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
        widths=widths,
        widths_by_series=widths_by_series,
    )
    served = Served(model, manifest.nonnegative)
    convert(served, windows, valid)
    predictor = verify(served, manifest, windows, valid, params)
    return publish(predictor, served, windows, valid)


@torch.no_grad()
def calibrate(
    model: Forecaster, windows: Windows, valid: Origins
) -> tuple[list[float], dict[str, list[float]]]:
    """Return what widens the intervals to cover on `valid`: of all series, and of each one."""
    model.eval()
    parts = []
    for batch in valid.batches():
        quantiles, unit = model(*map(torch.from_numpy, windows.inputs(*batch)))
        y, observed = windows.targets(*batch)
        normalised = model.normalise(torch.from_numpy(y), unit)
        parts.append((normalised.numpy(), observed, quantiles.numpy()))
    whole = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    by_series = {
        windows.series[number].name: fit_widths(*(array[valid.which == number] for array in whole))
        for number in np.unique(valid.which)
    }
    return fit_widths(*whole), by_series


class Served(nn.Module):
    """The forecaster with what makes its quantiles usable: units, calibrated widths, a floor."""

    def __init__(self, forecaster: Forecaster, nonnegative: bool) -> None:
        super().__init__()
        self.forecaster, self.nonnegative = forecaster, nonnegative

    def forward(
        self, history: torch.Tensor, steps: torch.Tensor, widths: torch.Tensor
    ) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series.

        widths (windows, 2) say how much wider to make the 80% and the 95% interval.
        """
        quantiles, unit = self.forecaster(history, steps)
        middle = quantiles[:, :, 2]
        inner, outer = (
            middle[:, :, None] + widths[:, level, None, None] * (quantiles - middle[:, :, None])
            for level in (0, 1)
        )
        low, high = inner[:, :, 1], inner[:, :, 3]
        # Narrowed, the outer interval must not end within the inner one.
        lowest, highest = torch.minimum(outer[:, :, 0], low), torch.maximum(outer[:, :, 4], high)
        ordered = torch.stack([lowest, low, middle, high, highest], dim=2)
        whole = self.forecaster.denormalise(ordered, unit)
        if not self.nonnegative:
            return whole
        floor = torch.where(history.amin(dim=1) < 0, -torch.inf, 0.0)
        return torch.maximum(whole, floor[:, None, None].to(whole.dtype))


def convert(served: Served, windows: Windows, valid: Origins) -> None:
    """Write the model as ONNX into the workshop, traced with two windows of any number."""
    shutil.rmtree(WORKSHOP, ignore_errors=True)  # left by a killed run
    WORKSHOP.mkdir(parents=True)
    shutil.copyfile(artifacts.PROCESSED / HISTORY, WORKSHOP / HISTORY)
    two = valid.take(np.resize(np.arange(len(valid.at)), 2))
    arrays = {**windows.inputs(*two)._asdict(), "widths": np.ones((2, 2), np.float32)}
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    onnx_export.write(served, inputs, ["quantiles"], free=1, path=WORKSHOP / "model.onnx")


def verify(
    served: Served, manifest: Manifest, windows: Windows, valid: Origins, params: Params
) -> Predictor:
    """Load the file as the API does, and compare it with torch on windows of `valid`.

    Raises `UserError` if a quantile differs by more than `MAX_DIFFERENCE`.
    """
    predictor = Predictor(WORKSHOP, manifest, params.serve)
    some = valid.spread(COMPARED)
    inputs, widths = windows.inputs(*some), predictor.widths(windows)[some.which]
    with torch.inference_mode():
        trained = served(*map(torch.from_numpy, (*inputs, widths)))
        unit = served.forecaster.unit(torch.from_numpy(inputs.history))
    both = (trained, torch.from_numpy(predictor.quantiles(windows, some)))
    one, other = (served.forecaster.normalise(each.flatten(start_dim=1), unit) for each in both)
    difference = onnx_export.largest_difference(
        other.numpy(), one.numpy(), MAX_DIFFERENCE, "a quantile"
    )
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
