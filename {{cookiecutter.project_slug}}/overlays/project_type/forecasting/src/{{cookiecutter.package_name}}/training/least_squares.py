"""Where training starts from: a linear regression for each lead time."""

import torch

from portfolio_kit.timegrid.origins import Origins

from ..features import Windows
from .model import SIGNS, Forecaster

RIDGE = 1e-4  # relative to the variance of the signs


@torch.no_grad()
def start_from_least_squares(model: Forecaster, windows: Windows, train: Origins) -> None:
    """Set the weights of each lead time to those of a linear regression on all windows."""
    squares = torch.zeros(model.horizon, SIGNS, SIGNS, dtype=torch.float64)
    products = torch.zeros(model.horizon, SIGNS, dtype=torch.float64)
    for batch in train.batches():
        history = torch.from_numpy(windows.inputs(*batch).history)
        y, observed = map(torch.from_numpy, windows.targets(*batch))
        scale = model.scale(history)
        usual, signs, _ = model.look(model.normalise(history, scale))
        rest = (model.normalise(y.float(), scale) - usual[:, :, 0]).double()
        rest = torch.where(observed, rest, 0.0)
        signs = torch.where(observed[:, :, None], signs.double(), 0.0)
        squares += torch.einsum("nhf,nhg->hfg", signs, signs)
        products += torch.einsum("nhf,nh->hf", signs, rest)
    size = squares.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-12
    ridge = RIDGE * size[:, None, None] * torch.eye(SIGNS, dtype=torch.float64)
    model.weights.copy_(torch.linalg.solve(squares + ridge, products).float())
