"""Writes the trained forecaster as the ONNX file that is evaluated and served."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from .. import artifacts
from ..data.prepare import HISTORY
from ..errors import UserError
from ..evaluation.rolling import Origins, batches, spread
from ..features import Windows
from ..monitoring import reference
from ..params import Params
from ..serving.observe import observer
from ..serving.predictor import Predictor, questions_of
from . import onnx_file
from .calibration import margins
from .model import LEVELS, Forecaster

FILES = ["model.onnx", HISTORY, reference.REFERENCE]
MAX_DIFFERENCE = 1e-3  # of a quantile, as a share of the mean value of its window
WORKSHOP = Path(".cache/export")
WEIGHTS = Path(".cache/trained.safetensors")  # for the benchmark, which serves torch as well
COMPARED = 1024  # windows, at most


class Served(nn.Module):
    """The forecaster with what makes its quantiles fit to be served: units, margins, a floor."""

    margins: torch.Tensor

    def __init__(self, forecaster: Forecaster, margins: np.ndarray, nonnegative: bool) -> None:
        super().__init__()
        self.forecaster, self.nonnegative = forecaster, nonnegative
        self.register_buffer("margins", torch.from_numpy(margins))

    def forward(self, history: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series."""
        quantiles, scale = self.forecaster(history, steps)
        lowest, low, middle, high, highest = (quantiles + self.margins).unbind(dim=2)
        # Margins may be negative: then an interval shrinks, but not beyond the next one.
        low, high = torch.minimum(low, middle), torch.maximum(high, middle)
        lowest, highest = torch.minimum(lowest, low), torch.maximum(highest, high)
        ordered = torch.stack([lowest, low, middle, high, highest], dim=2)
        whole = self.forecaster.denormalise(ordered, scale)
        return torch.relu(whole) if self.nonnegative else whole


def export(
    model: Forecaster, windows: Windows, valid: Origins, facts: dict[str, Any], params: Params
) -> dict[str, Any]:
    """Calibrate the intervals on `valid`, write `models/` and return its manifest.

    The files are loaded as the API loads them and compared with torch on `valid` before they
    replace those of the last run. Raises `UserError` if a quantile differs by more than
    `MAX_DIFFERENCE`.
    """
    model.eval()
    _, observed = windows.targets(*valid)
    quantiles, y = predict(model, windows, valid)
    facts["margins"] = [round(float(m), 6) for m in margins(y, observed, quantiles)]
    served = Served(model, np.array(facts["margins"], np.float32), facts["nonnegative"]).eval()
    facts["levels"] = list(LEVELS)

    shutil.rmtree(WORKSHOP, ignore_errors=True)  # what a killed run left
    WORKSHOP.mkdir(parents=True)
    shutil.copyfile(artifacts.PROCESSED / HISTORY, WORKSHOP / HISTORY)
    write_onnx(served, windows, valid, WORKSHOP / "model.onnx")
    predictor = Predictor(WORKSHOP, facts, params.serve)
    inputs = windows.inputs(*spread(valid, COMPARED))
    with torch.inference_mode():
        trained = served(*map(torch.from_numpy, inputs)).numpy()
    level = np.abs(inputs.history).mean(axis=1)[:, None, None] + 1e-12
    difference = float((np.abs(predictor.quantiles(inputs) - trained) / level).max())
    if not difference <= MAX_DIFFERENCE:
        raise UserError(f"export: a quantile of ONNX differs from torch's by {difference:.2%}")
    facts["onnx"] = {"max_difference": difference}
    facts["precision"] = "fp32"
    facts["version"] = artifacts.sha256(WORKSHOP / "model.onnx")[:12]
    write_reference(predictor, windows, valid)
    for name in FILES:
        artifacts.write_atomic(artifacts.MODELS / name, partial(shutil.copyfile, WORKSHOP / name))
    save_file(served.state_dict(), WEIGHTS, {"version": facts["version"]})
    shutil.rmtree(WORKSHOP)
    return artifacts.write_manifest(artifacts.MODELS, FILES, facts)


@torch.no_grad()
def predict(model: Forecaster, windows: Windows, whole: Origins) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles (windows, horizon, levels) and values (windows, horizon), normalised."""
    parts = []
    for batch in batches(whole):
        quantiles, scale = model(*map(torch.from_numpy, windows.inputs(*batch)))
        y = torch.from_numpy(windows.targets(*batch)[0]).float()
        parts.append([quantiles.numpy(), model.normalise(y, scale).numpy()])
    quantiles, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return quantiles, values


def write_reference(predictor: Predictor, windows: Windows, valid: Origins) -> None:
    """Write what `monitor` compares with: the signals of windows of the validation block."""
    questions = questions_of(windows, *spread(valid, reference.MAX_ROWS))
    answers, observe = predictor.answer_many(questions), observer(predictor, WORKSHOP)
    signals = [observe(*pair).signals for pair in zip(questions, answers, strict=True)]
    reference.write(WORKSHOP, signals)


def write_onnx(served: Served, windows: Windows, valid: Origins, path: Path) -> None:
    """Trace the model with two windows; their number stays free."""
    rows = np.resize(np.arange(len(valid[0])), 2)
    arrays = windows.inputs(valid[0][rows], valid[1][rows])._asdict()
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    onnx_file.write(served, inputs, ["quantiles"], free=1, path=path)
