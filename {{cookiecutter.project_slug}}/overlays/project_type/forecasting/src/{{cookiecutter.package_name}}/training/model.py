"""The network: what is usual at each step, plus weighted signs of what was unusual lately.

A window's values are in units of its spread around its mean (Kim et al. 2022), so neither the unit
nor the zero of a series matters. What is usual is the average of the last longest seasons (the last
weeks, say). Unusual is the newest of them minus those before it; signs of it are its last steps,
its last shortest season, the value at the same time. Linear regressions on both say what to expect;
small networks adjust it with calendar and covariates, by what is usual and by the signs. That is a
varying-coefficient model (Hastie and Tibshirani 1993), trained with the pinball loss (Koenker and
Bassett 1978). The quantiles of several such networks are averaged: they differ where they are
unsure.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ..features import LEVELS, Inputs, Shape
from ..params import Model

LAST = 6  # newest steps, each of which is a sign
SIGNS = LAST + 2
LEAD_SIZE = 4  # numbers that tell lead times apart
FARTHEST = 1000.0  # from the mean, in spreads: beyond, after a constant history, all is alike
MOST_STEPS = 336  # newest ones that the regression sees


class Look(NamedTuple):
    """What a history says; all but the first are (windows, horizon, features)."""

    recent: torch.Tensor  # (windows, features), for the regression
    expected: torch.Tensor  # by the regression, one feature
    usual: torch.Tensor  # one feature
    signs: torch.Tensor  # of what is unusual, weighed by the networks
    more: torch.Tensor  # mean and value at the same time of each shortest season


class Forecaster(nn.Module):
    """Maps history, calendar and covariates to five quantiles of each step, which never cross."""

    weights: torch.Tensor
    linear: torch.Tensor
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
        lead, days = torch.arange(self.horizon), self.longest // self.season
        # Where in the newest longest season each shortest one has the same time, newest first.
        same_time = self.longest - (lead // self.season + 1) * self.season + lead
        earlier = same_time[:, None] - self.season * torch.arange(days)
        self.register_buffer("same_time", earlier % self.longest)
        self.recent = min(self.longest, MOST_STEPS)
        self.register_buffer("weights", torch.zeros(self.horizon, SIGNS))
        self.register_buffer("linear", torch.zeros(2 * self.recent, self.horizon))
        self.lead = nn.Parameter(0.3 * torch.randn(self.horizon, LEAD_SIZE))
        size = SIGNS + 1 + 2 * days + inputs.steps.shape[-1] + LEAD_SIZE
        self.networks = nn.ModuleList(make_network(size, hidden, dropout) for _ in range(members))

    def unit(self, history: torch.Tensor) -> torch.Tensor:
        """Return mean and spread of each window's values, or of their logarithms: (windows, 2)."""
        history = history[:, -self.longest * (self.seasons + 1) :]
        values = torch.log(history) if self.positive else history
        mean = values.mean(dim=1, keepdim=True)
        spread = ((values - mean) ** 2).mean(dim=1, keepdim=True).sqrt()
        # `+ 1e-30` would do, but the exporter to ONNX drops what it takes for zero.
        spread = torch.maximum(spread, 1e-9 * mean.abs()).clamp(min=1e-30)
        return torch.cat([mean, spread], dim=1)

    def normalise(self, y: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Return float64 values (windows, steps) in these units, as float32."""
        y = torch.log(y) if self.positive else y
        return ((y - unit[:, :1]) / unit[:, 1:]).clamp(-FARTHEST, FARTHEST).float()

    def denormalise(self, quantiles: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels) in the units of the series, as float64."""
        y = unit[:, :1, None] + quantiles.double() * unit[:, 1:, None]
        return torch.exp(y) if self.positive else y

    def look(self, history: torch.Tensor) -> Look:
        """Return what a normalised history says of each step of the horizon."""
        whole = history[:, -self.longest * (self.seasons + 1) :]
        weeks = whole.reshape(-1, self.seasons + 1, self.longest)
        usual = weeks[:, 1:].mean(dim=1)  # (windows, longest)
        unusual = weeks[:, -1] - weeks[:, :-1].mean(dim=1)
        recent = torch.cat([usual[:, -self.recent :], unusual[:, -self.recent :]], dim=1)
        usual = usual.repeat(1, math.ceil(self.horizon / self.longest))[:, : self.horizon, None]
        days = self.longest // self.season
        means = unusual[:, -days * self.season :].reshape(-1, days, self.season).mean(dim=2)
        same_time = unusual[:, self.same_time]  # (windows, horizon, days)
        signs = torch.cat([unusual[:, -LAST:], means[:, -1:]], dim=1)
        signs, means = (each[:, None].expand(-1, self.horizon, -1) for each in (signs, means))
        signs = torch.cat([signs, same_time[:, :, :1]], dim=2)
        expected = usual + (signs * self.weights).sum(dim=2, keepdim=True)
        expected = expected + (recent @ self.linear)[:, :, None]
        return Look(recent, expected, usual, signs, torch.cat([means, same_time[:, :, 1:]], dim=2))

    def forward(
        self, history: torch.Tensor, steps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return quantiles, normalised, and the unit (windows, 2).

        Quantiles are (windows, horizon, levels). In training they are those of each member,
        (members, windows, horizon, levels), so each learns by itself.
        """
        unit = self.unit(history)
        look = self.look(self.normalise(history, unit))
        steps = torch.asinh((steps - self.steps_mean) / self.steps_std)  # tames outliers
        lead = self.lead.expand(len(history), -1, -1)
        seen = torch.cat([*look[1:], steps, lead], dim=2)
        members = torch.stack([self.judge(net(seen), look) for net in self.networks])
        return members if self.training else members.mean(dim=0), unit

    def judge(self, out: torch.Tensor, look: Look) -> torch.Tensor:
        """Return quantiles (windows, horizon, levels), given what one network put out."""
        spreads, weights = out.split([len(LEVELS) - 1, SIGNS + 2], dim=2)
        spreads = nn.functional.softplus(spreads)
        adjusts = torch.cat([look.usual, look.signs, torch.ones_like(look.usual)], dim=2)
        middle = look.expected[:, :, 0] + (weights * adjusts).sum(dim=2)
        low, high = middle - spreads[:, :, 1], middle + spreads[:, :, 2]
        lowest, highest = low - spreads[:, :, 0], high + spreads[:, :, 3]
        return torch.stack([lowest, low, middle, high, highest], dim=2)


def make_network(size: int, hidden: int, dropout: float) -> nn.Module:
    """Return a network that starts with narrow intervals and leaves the weights as they are."""
    last = nn.Linear(hidden, len(LEVELS) + SIGNS + 1)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([-2.5] * (len(LEVELS) - 1) + [0.0] * (SIGNS + 2)))
    return nn.Sequential(
        *(nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout)),
        last,
    )
