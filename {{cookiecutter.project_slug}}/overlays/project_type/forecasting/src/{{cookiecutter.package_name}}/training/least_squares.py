"""Where training starts from: a ridge regression for each lead time."""

import torch

from portfolio_kit.timegrid.origins import Origins

from ..features import Windows
from .model import Forecaster

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative to the variance of the inputs


@torch.no_grad()
def fit_regression(model: Forecaster, windows: Windows, train: Origins, valid: Origins) -> None:
    """Fit the linear map of `model` on all windows of `train`, with the penalty that is best on
    `valid`.
    """
    size = len(model.linear)
    squares = torch.zeros(size, size, dtype=torch.float64)
    products = torch.zeros(size, model.horizon, dtype=torch.float64)
    for batch in train.batches():
        recent, rest, observed = regression(model, windows, batch)
        recent = torch.where(observed.any(dim=1, keepdim=True), recent, 0.0)
        squares += recent.T @ recent
        products += recent.T @ torch.where(observed, rest, 0.0)
    variance = squares.diagonal().mean() + 1e-12
    eye = torch.eye(size, dtype=torch.float64)
    found = [torch.linalg.solve(squares + ridge * variance * eye, products) for ridge in RIDGES]
    errors = torch.zeros(len(RIDGES))
    for batch in valid.batches():
        recent, rest, observed = regression(model, windows, batch)
        for number, linear in enumerate(found):
            errors[number] += (rest - recent @ linear)[observed].abs().sum()
    model.linear.copy_(found[int(errors.argmin())])


def regression(
    model: Forecaster, windows: Windows, batch: Origins
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inputs (windows, features), targets (windows, horizon), and which are observed."""
    history = torch.from_numpy(windows.inputs(*batch).history)
    y, observed = map(torch.from_numpy, windows.targets(*batch))
    unit = model.unit(history)
    look = model.look(model.normalise(history, unit))
    rest = model.normalise(y, unit) - look.usual[:, :, 0]
    return look.recent.double(), rest.double(), observed
