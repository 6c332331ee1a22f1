"""Where training starts from: linear regressions for each lead time."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from portfolio_kit.timegrid import least_squares
from portfolio_kit.timegrid.origins import Origins

from ..features import Windows
from .model import Forecaster

PARTS = 4  # of the training block, each of which is predicted from the others


@torch.no_grad()
def fit_regression(model: Forecaster, windows: Windows, train: Origins, valid: Origins) -> None:
    """Fit the linear parts of `model` on `train`, with the penalty that predicts best."""
    parts = [train.take(rows) for rows in np.array_split(np.arange(len(train.at)), PARTS)]
    batches = partial(regression, model, windows)
    weights = least_squares.fit([partial(batches, part) for part in parts], partial(batches, valid))
    model.weights.copy_(weights.signs)
    model.linear.copy_(weights.recent)


def regression(
    model: Forecaster, windows: Windows, origins: Origins
) -> Iterator[least_squares.Batch]:
    """Yield what a history says, and how far the values to come are from what is usual."""
    for batch in origins.batches():
        history = torch.from_numpy(windows.inputs(*batch).history)
        y, observed = map(torch.from_numpy, windows.targets(*batch))
        unit = model.unit(history)
        look = model.look(model.normalise(history, unit))
        rest = (model.normalise(y, unit) - look.usual[:, :, 0]).double()
        yield least_squares.Batch(look.signs.double(), look.recent.double(), rest, observed)
