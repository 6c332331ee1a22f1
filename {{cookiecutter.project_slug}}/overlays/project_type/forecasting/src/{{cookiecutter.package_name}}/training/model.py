"""The network: what is usual at each step, plus weighted signs of what was unusual lately.

What is usual is a weighted average of the last longest seasons (the last weeks, say). Unusual is
the newest of them minus those before it: its last steps, its last shortest season, and the value at
the same time. A linear map for each lead time weighs these signs, and small networks adjust its
weights with calendar and covariates: a varying-coefficient model (Hastie and Tibshirani 1993),
trained with the pinball loss (Koenker and Bassett 1978). The quantiles of several such networks are
averaged: they differ where they are unsure.
"""

import math

import numpy as np
import torch
from torch import nn

from ..features import LEVELS, Inputs, Shape
from ..params import Model

LAST = 6  # newest steps, each of which is a sign
SIGNS = LAST + 2
LEAD_SIZE = 4  # numbers that tell lead times apart


class Forecaster(nn.Module):
    """Maps history, calendar and covariates to five quantiles of each step, which never cross."""

    tiny: torch.Tensor
    same_time: torch.Tensor
    steps_mean: torch.Tensor
    steps_std: torch.Tensor

    def __init__(
        self, shape: Shape, inputs: Inputs, model: Model, dropout: float, positive: bool
    ) -> None:
        """Take the scale of calendar and covariates from `inputs`, some windows of training."""
        super().__init__()
        hidden, members = model.hidden, model.members
        self.season, self.longest = shape.shortest, shape.longest
        self.seasons, self.horizon, self.positive = shape.seasons, shape.horizon, positive
        flat = torch.from_numpy(inputs.steps).double().flatten(end_dim=1)
        self.register_buffer("steps_mean", flat.mean(dim=0).float())
        self.register_buffer("steps_std", flat.std(dim=0).float().clamp(min=1e-6))
        self.register_buffer("tiny", torch.tensor(1e-6 * np.abs(inputs.history).mean() + 1e-12))
        lead, days = torch.arange(self.horizon), self.longest // self.season
        # Where in the newest longest season each shortest one has the same time, newest first.
        same_time = self.longest - (lead // self.season + 1) * self.season + lead
        earlier = same_time[:, None] - self.season * torch.arange(days)
        self.register_buffer("same_time", earlier % self.longest)
        self.season_weights = nn.Parameter(torch.zeros(self.seasons))
        self.weights = nn.Parameter(torch.zeros(self.horizon, SIGNS))
        self.lead = nn.Parameter(0.3 * torch.randn(self.horizon, LEAD_SIZE))
        size = SIGNS + 2 * days + inputs.steps.shape[-1] + LEAD_SIZE
        self.networks = nn.ModuleList(make_network(size, hidden, dropout) for _ in range(members))

    def scale(self, history: torch.Tensor) -> torch.Tensor:
        """Return the unit of each window's values, (windows, 1): a level, or a log level."""
        history = history[:, -self.longest * (self.seasons + 1) :]
        if self.positive:
            return torch.log(history).mean(dim=1, keepdim=True)
        return history.abs().mean(dim=1, keepdim=True) + self.tiny

    def normalise(self, y: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return values (windows, steps) in these units."""
        return torch.log(y) - scale if self.positive else y / scale

    def denormalise(self, quantiles: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series."""
        scale = scale[:, :, None]
        return torch.exp(quantiles + scale) if self.positive else quantiles * scale

    def look(self, history: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what a normalised history says of each step, all (windows, horizon, features).

        First what is usual, one feature; then the signs that the linear map weighs; then more of
        them, for the networks only: mean and value at the same time of each shortest season.
        """
        whole = history[:, -self.longest * (self.seasons + 1) :]
        weeks = whole.reshape(-1, self.seasons + 1, self.longest)
        shares = torch.softmax(self.season_weights, dim=0)[None, :, None]
        usual = (shares * weeks[:, 1:]).sum(dim=1)  # (windows, longest)
        usual = usual.repeat(1, math.ceil(self.horizon / self.longest))[:, : self.horizon]
        unusual = weeks[:, -1] - (shares * weeks[:, :-1]).sum(dim=1)
        days = self.longest // self.season
        means = unusual[:, -days * self.season :].reshape(-1, days, self.season).mean(dim=2)
        same_time = unusual[:, self.same_time]  # (windows, horizon, days)
        signs = torch.cat([unusual[:, -LAST:], means[:, -1:]], dim=1)
        signs, means = (each[:, None].expand(-1, self.horizon, -1) for each in (signs, means))
        weighed = torch.cat([signs, same_time[:, :, :1]], dim=2)
        return usual[:, :, None], weighed, torch.cat([means, same_time[:, :, 1:]], dim=2)

    def forward(
        self, history: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return quantiles, normalised, and the scale (windows, 1).

        Quantiles are (windows, horizon, levels). In training they are those of each member,
        (members, windows, horizon, levels), so each learns by itself.
        """
        scale = self.scale(history)
        usual, signs, more = self.look(self.normalise(history, scale))
        # The inverse hyperbolic sine is linear near zero and tames outliers.
        steps = torch.asinh((steps - self.steps_mean) / self.steps_std)
        lead = self.lead.expand(len(history), -1, -1)
        seen = torch.cat([signs, more, usual, steps, lead], dim=2)
        members = torch.stack([self.judge(net(seen), usual, signs) for net in self.networks])
        return members if self.training else members.mean(dim=0), scale

    def judge(self, out: torch.Tensor, usual: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels), given what one network put out."""
        spreads = nn.functional.softplus(out[:, :, : len(LEVELS) - 1])
        moved = out[:, :, len(LEVELS) - 1 :]
        middle = (1 + moved[:, :, 0]) * usual[:, :, 0]
        middle = middle + (signs * (self.weights + moved[:, :, 1:])).sum(dim=2)
        low, high = middle - spreads[:, :, 1], middle + spreads[:, :, 2]
        lowest, highest = low - spreads[:, :, 0], high + spreads[:, :, 3]
        return torch.stack([lowest, low, middle, high, highest], dim=2)


def make_network(size: int, hidden: int, dropout: float) -> nn.Module:
    """Return a network that starts with narrow intervals and leaves the weights as they are."""
    last = nn.Linear(hidden, len(LEVELS) + SIGNS)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([-2.5] * (len(LEVELS) - 1) + [0.0] * (SIGNS + 1)))
    return nn.Sequential(
        *(nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout)),
        last,
    )
