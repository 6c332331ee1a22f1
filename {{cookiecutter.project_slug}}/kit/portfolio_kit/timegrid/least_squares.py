"""Two linear regressions for each lead time, with a penalty chosen by cross-validation.

The first weighs a few signs. The second, a ridge regression, sees all recent steps and predicts
what the first leaves: on a short series hardly anything, on a long one a lot. If the second does
better on its own, the first is left out.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import torch

RIDGE = 1e-4  # of the first, relative to the variance of the signs
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e3)  # to choose from, for the second


class Batch(NamedTuple):
    """Windows with what is known of them, float64, and what is to be predicted."""

    signs: torch.Tensor  # (windows, horizon, signs)
    recent: torch.Tensor  # (windows, steps)
    y: torch.Tensor  # (windows, horizon)
    observed: torch.Tensor  # (windows, horizon), bool


class Weights(NamedTuple):
    """What the two regressions multiply their inputs by."""

    signs: torch.Tensor  # (horizon, signs)
    recent: torch.Tensor  # (steps, horizon)


class Sums(NamedTuple):
    """Sums of products over windows: s are signs, r recent steps, y what is to be predicted."""

    ss: torch.Tensor  # (horizon, signs, signs)
    sy: torch.Tensor  # (horizon, signs)
    rr: torch.Tensor  # (steps, steps)
    ry: torch.Tensor  # (steps, horizon)
    rs: torch.Tensor  # (steps, horizon, signs)

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Return the sums over a batch; what is not observed counts as zero."""
        signs = torch.where(batch.observed[:, :, None], batch.signs, 0.0)
        recent = torch.where(batch.observed.any(dim=1, keepdim=True), batch.recent, 0.0)
        y = torch.where(batch.observed, batch.y, 0.0)
        return cls(
            torch.einsum("nhs,nht->hst", signs, signs),
            torch.einsum("nhs,nh->hs", signs, y),
            recent.T @ recent,
            recent.T @ y,
            torch.einsum("nr,nhs->rhs", recent, signs),
        )

    @classmethod
    def total(cls, sums: Iterable[Self]) -> Self:
        """Return the sums over all of these windows."""
        whole, *others = sums
        for other in others:
            whole = cls(*map(torch.add, whole, other))
        return whole

    def solve(self) -> list[Weights]:
        """Return the regressions with each penalty, without and with the first of the two."""
        variance = self.ss.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] + 1e-12
        penalty = RIDGE * variance * torch.eye(self.ss.shape[-1], dtype=torch.float64)
        signs = torch.linalg.solve(self.ss + penalty, self.sy)
        scale = (self.rr.diagonal().mean() + 1e-12) * torch.eye(len(self.rr), dtype=torch.float64)
        found = []
        for first in (torch.zeros_like(signs), signs):
            left = self.ry - torch.einsum("rhs,hs->rh", self.rs, first)
            solved = (torch.linalg.solve(self.rr + ridge * scale, left) for ridge in RIDGES)
            found += [Weights(first, second) for second in solved]
        return found


Source = Callable[[], Iterable[Batch]]  # of windows, as often as it is called


def fit(parts: list[Source], valid: Source) -> Weights:
    """Return the regressions on all parts that have the least absolute error.

    The error is summed over each part, predicted from the others, and over `valid`, predicted from
    all: a validation block alone may be too short to tell.
    """
    sums = [Sums.total(map(Sums.of, part())) for part in parts]
    whole = Sums.total(sums)
    found = whole.solve()
    errors = errors_of(found, valid)
    for part, own in zip(parts, sums, strict=True):
        errors += errors_of(Sums(*map(torch.sub, whole, own)).solve(), part)
    return found[int(errors.argmin())]


def errors_of(found: list[Weights], source: Source) -> torch.Tensor:
    """Return the sum of absolute errors of each."""
    errors = torch.zeros(len(found), dtype=torch.float64)
    for batch in source():
        for number, weights in enumerate(found):
            left = batch.y - (batch.signs * weights.signs).sum(dim=2)
            errors[number] += (left - batch.recent @ weights.recent)[batch.observed].abs().sum()
    return errors
