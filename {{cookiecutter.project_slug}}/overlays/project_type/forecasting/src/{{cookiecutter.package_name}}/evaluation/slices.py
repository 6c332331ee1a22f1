"""What the test block is split into: series, lead times, hours, weekdays and holidays."""

import numpy as np

from portfolio_kit.timegrid import slices

from ..features import MEDIAN, Shape
from .held_out import Test
from .scores import parts


def errors(
    metric: str, test: Test, quantiles: np.ndarray, rivals: dict[str, np.ndarray], shape: Shape
) -> dict[str, dict[str, slices.Slice]]:
    """Return by kind of slice, and by slice, the error of all models, and our coverage."""
    forecasts = {slices.OURS: quantiles[:, :, MEDIAN], **rivals}
    sums = {name: parts(metric, test.y, y_hat, test.scale) for name, y_hat in forecasts.items()}
    leads = np.broadcast_to(np.arange(shape.horizon), test.y.shape)
    names = tuple(str(lead + 1) for lead in range(shape.horizon))
    groups = {"lead": (names, leads), **shape.calendar.groups(test.moments)}
    if len(test.names) > 1:
        which = np.broadcast_to(test.origins.which[:, None], test.y.shape)
        groups = {"series": (test.names, which), **groups}
    return slices.errors(groups, test.y, quantiles, sums)
