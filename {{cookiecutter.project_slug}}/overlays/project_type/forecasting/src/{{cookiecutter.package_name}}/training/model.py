"""The network: what is usual at that time, and weights for what was unusual lately.

What is usual is the average of the last longest seasons (of the last weeks, say). What is unusual
is the newest of them less those before it: its last steps, its last shortest season, and the value
at the same time of the newest one. A linear map for each lead time, fitted by least squares, weighs
these, and small networks move the weights with calendar and covariates: a varying-coefficient
model (Hastie and Tibshirani 1993), trained with the pinball loss (Koenker and Bassett 1978). The
quantiles of several such networks are averaged: they differ where they are unsure.
"""

import math

import numpy as np
import torch
from torch import nn

from ..evaluation.rolling import Origins, batches
from ..features import Inputs, Shape, Windows
from ..params import Model

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)  # of the quantiles
COUNTS = (1, 1, 3, 1, 1)  # in the loss: the median is the forecast, the others are calibrated
LAST = 6  # steps that are looked at one by one
UNUSUAL = LAST + 2  # signs of what is unusual
LEAD_SIZE = 4  # numbers that tell lead times apart
RIDGE = 1e-4  # of the least squares, relative to the inputs' variance


class Forecaster(nn.Module):
    """History, calendar and covariates in; five quantiles of each step out, which never cross."""

    tiny: torch.Tensor
    same_time: torch.Tensor
    steps_mean: torch.Tensor
    steps_std: torch.Tensor

    def __init__(
        self, shape: Shape, inputs: Inputs, model: Model, dropout: float, positive: bool
    ) -> None:
        """Take the scale of calendar and covariates from `inputs`, which are those of training."""
        super().__init__()
        hidden, members = model.hidden, model.members
        self.season, self.longest = shape.shortest, shape.longest
        self.seasons, self.horizon, self.positive = shape.seasons, shape.horizon, positive
        flat = torch.from_numpy(inputs.steps).double().flatten(end_dim=1)
        self.register_buffer("steps_mean", flat.mean(dim=0).float())
        self.register_buffer("steps_std", flat.std(dim=0).float().clamp(min=1e-6))
        self.register_buffer("tiny", torch.tensor(1e-6 * np.abs(inputs.history).mean() + 1e-12))
        lead, days = torch.arange(self.horizon), self.longest // self.season
        # Where in the newest longest season its shortest ones have the same time, the newest first.
        same_time = self.longest - (lead // self.season + 1) * self.season + lead
        earlier = same_time[:, None] - self.season * torch.arange(days)
        self.register_buffer("same_time", earlier % self.longest)
        self.season_weights = nn.Parameter(torch.zeros(self.seasons))
        self.weights = nn.Parameter(torch.zeros(self.horizon, UNUSUAL))
        self.lead = nn.Parameter(0.3 * torch.randn(self.horizon, LEAD_SIZE))
        size = UNUSUAL + 2 * days + inputs.steps.shape[-1] + LEAD_SIZE
        self.networks = nn.ModuleList(make_network(size, hidden, dropout) for _ in range(members))

    def scale(self, history: torch.Tensor) -> torch.Tensor:
        """Return what a window's values are measured by, (windows, 1): a level, or a log level."""
        history = history[:, -self.longest * (self.seasons + 1) :]
        if self.positive:
            return torch.log(history).mean(dim=1, keepdim=True)
        return history.abs().mean(dim=1, keepdim=True) + self.tiny

    def normalise(self, y: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return values (windows, steps) as the network has them."""
        return torch.log(y) - scale if self.positive else y / scale

    def denormalise(self, quantiles: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series."""
        scale = scale[:, :, None]
        return torch.exp(quantiles + scale) if self.positive else quantiles * scale

    def look(self, history: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what a normalised history says of each step, all (windows, horizon, features).

        What is usual, one feature; the signs of what is unusual that the linear map weighs; and
        more of them, for the networks only: of each shortest season of the newest longest one, the
        mean and the value at the same time.
        """
        whole = history[:, -self.longest * (self.seasons + 1) :]
        weeks = whole.reshape(-1, self.seasons + 1, self.longest)
        shares = torch.softmax(self.season_weights, dim=0)[None, :, None]
        usual = (shares * weeks[:, 1:]).sum(dim=1)
        usual = usual.repeat(1, math.ceil(self.horizon / self.longest))[:, : self.horizon]
        unusual = weeks[:, -1] - (shares * weeks[:, :-1]).sum(dim=1)
        days = self.longest // self.season
        means = unusual[:, -days * self.season :].reshape(-1, days, self.season).mean(dim=2)
        same_time = unusual[:, self.same_time]
        signs = torch.cat([unusual[:, -LAST:], means[:, -1:]], dim=1)
        signs, means = (each[:, None].expand(-1, self.horizon, -1) for each in (signs, means))
        weighed = torch.cat([signs, same_time[:, :, :1]], dim=2)
        return usual[:, :, None], weighed, torch.cat([means, same_time[:, :, 1:]], dim=2)

    def forward(
        self, history: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return quantiles, normalised, and the scale (windows, 1).

        Quantiles are (windows, horizon, levels); in training those of each member,
        (members, windows, horizon, levels), so that each learns by itself.
        """
        scale = self.scale(history)
        usual, unusual, more = self.look(self.normalise(history, scale))
        # The inverse hyperbolic sine is linear near zero and tames what is far from it.
        steps = torch.asinh((steps - self.steps_mean) / self.steps_std)
        lead = self.lead.expand(len(history), -1, -1)
        seen = torch.cat([unusual, more, usual, steps, lead], dim=2)
        members = torch.stack([self.judge(net(seen), usual, unusual) for net in self.networks])
        return members if self.training else members.mean(dim=0), scale

    def judge(self, out: torch.Tensor, usual: torch.Tensor, unusual: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) of what a network makes of the windows."""
        spreads = nn.functional.softplus(out[:, :, : len(LEVELS) - 1])
        moved = out[:, :, len(LEVELS) - 1 :]
        middle = (1 + moved[:, :, 0]) * usual[:, :, 0]
        middle = middle + (unusual * (self.weights + moved[:, :, 1:])).sum(dim=2)
        low, high = middle - spreads[:, :, 1], middle + spreads[:, :, 2]
        lowest, highest = low - spreads[:, :, 0], high + spreads[:, :, 3]
        return torch.stack([lowest, low, middle, high, highest], dim=2)

    @torch.no_grad()
    def start_from_least_squares(self, windows: Windows, train: Origins) -> None:
        """Set the weights of each lead time to those of a linear regression on all windows."""
        squares = torch.zeros(self.horizon, UNUSUAL, UNUSUAL, dtype=torch.float64)
        products = torch.zeros(self.horizon, UNUSUAL, dtype=torch.float64)
        for batch in batches(train):
            history = torch.from_numpy(windows.inputs(*batch).history)
            y, observed = map(torch.from_numpy, windows.targets(*batch))
            scale = self.scale(history)
            usual, unusual, _ = self.look(self.normalise(history, scale))
            rest = (self.normalise(y.float(), scale) - usual[:, :, 0]).double()
            rest = torch.where(observed, rest, 0.0)
            signs = torch.where(observed[:, :, None], unusual.double(), 0.0)
            squares += torch.einsum("nhf,nhg->hfg", signs, signs)
            products += torch.einsum("nhf,nh->hf", signs, rest)
        size = squares.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-12
        ridge = RIDGE * size[:, None, None] * torch.eye(UNUSUAL, dtype=torch.float64)
        self.weights.copy_(torch.linalg.solve(squares + ridge, products).float())


def make_network(size: int, hidden: int, dropout: float) -> nn.Module:
    """Return a network that starts with narrow intervals, and with weights that are not moved."""
    last = nn.Linear(hidden, len(LEVELS) + UNUSUAL)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([-2.5] * (len(LEVELS) - 1) + [0.0] * (UNUSUAL + 1)))
    return nn.Sequential(
        *(nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout)),
        last,
    )


def pinball_loss(quantiles: torch.Tensor, y: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of quantiles (..., windows, horizon, levels) where `observed`."""
    levels, counts = quantiles.new_tensor(LEVELS), quantiles.new_tensor(COUNTS)
    error = torch.where(observed, y, 0.0)[:, :, None] - quantiles
    loss = torch.maximum(levels * error, (levels - 1) * error) @ (counts / counts.sum())
    loss = loss.reshape(-1, *observed.shape).mean(dim=0)  # over members
    return (loss * observed).sum() / observed.sum().clamp(min=1)
