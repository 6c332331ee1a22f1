"""Figures of a forecaster's strengths and mistakes; `REPORTING` has their captions."""

import matplotlib.pyplot as plt
import numpy as np

from portfolio_kit.plots import STYLE, comparison, save
from portfolio_kit.timegrid import plots
from portfolio_kit.timegrid.slices import ratio

from ..features import MEDIAN
from .held_out import Test
from .metrics import CALENDAR, SCORES, Metrics
from .scores import parts

UNITS = {"wape": "WAPE, %", "mase": "MASE", "mae": "MAE, {}"}


def draw(metrics: Metrics, test: Test, quantiles: np.ndarray, target: str) -> None:
    """Draw each figure into `reports/figures/`.

    quantiles are (windows, horizon, levels); `target` names what the series measure.
    """
    metric, shape, leads = metrics.metric, metrics.shape, metrics.slices["lead"]
    label = UNITS[metric].format(target)
    groups = {kind: of for kind, of in metrics.slices.items() if kind not in ("lead", "series")}
    above, below = parts(metric, test.y, quantiles[:, :, MEDIAN], test.scale)

    def error(rows: np.ndarray) -> float:
        return ratio(above[rows], below[rows])

    windows = test.origins.which, test.moments, test.y, quantiles, test.names
    part = shape.step * max(shape.longest, 3 * shape.horizon)
    comparison(metrics, metric, "comparison.png", lower_is_better=True, label=label)
    with plt.rc_context(STYLE):
        save(plots.fans(*windows, part, error, SCORES[metric], target), "fans.png")
        save(plots.lead_time(leads, label), "lead_time.png")
        save(plots.coverage(leads), "coverage.png")
        if CALENDAR not in metrics.not_drawn:
            save(plots.groups(groups, label, metrics.best), CALENDAR)
