"""Errors by lead time, hour, weekday and holiday, next to those of the baselines."""

import numpy as np

from ..features import MEDIAN, Shape
from .held_out import Test
from .metrics import Slice
from .scores import coverage, wape


def errors(
    test: Test, quantiles: np.ndarray, rivals: dict[str, np.ndarray], shape: Shape
) -> dict[str, dict[str, Slice]]:
    """Return by kind of slice, and by slice, the WAPE of all models, and our coverage."""
    forecasts = {"this model": quantiles[:, :, MEDIAN], **rivals}
    lowest, low, _, high, highest = np.moveaxis(quantiles, -1, 0)
    leads = np.broadcast_to(np.arange(shape.horizon), test.y.shape)
    names = tuple(str(lead + 1) for lead in range(shape.horizon))
    groups = {"lead": (names, leads), **shape.calendar.groups(test.moments)}
    found: dict[str, dict[str, Slice]] = {kind: {} for kind in groups}
    for kind, (names, group) in groups.items():
        for number, name in enumerate(names):
            rows = (group == number) & ~np.isnan(test.y)
            if rows.any():
                y = test.y[rows]
                found[kind][name] = Slice(
                    rows=int(rows.sum()),
                    wape={name: wape(y, y_hat[rows]) for name, y_hat in forecasts.items()},
                    coverage_80=coverage(y, low[rows], high[rows]),
                    coverage_95=coverage(y, lowest[rows], highest[rows]),
                )
    return found
