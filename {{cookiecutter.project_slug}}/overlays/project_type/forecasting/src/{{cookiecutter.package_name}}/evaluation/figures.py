"""Figures of a forecaster's strengths and mistakes; `REPORTING` has their captions."""

import matplotlib.pyplot as plt
import numpy as np

from portfolio_kit.markdown import plain
from portfolio_kit.plots import STYLE, comparison, save
from portfolio_kit.timegrid import plots
from portfolio_kit.timegrid.slices import ratio

from ..features import MEDIAN
from .held_out import Test
from .metrics import SCORES, Metrics
from .scores import parts

MAX_CHARACTERS = 40  # of the name of a series


def draw(metrics: Metrics, test: Test, quantiles: np.ndarray, target: str) -> None:
    """Draw each figure into `reports/figures/`.

    quantiles are (windows, horizon, levels); `target` names what the series measure.
    """
    metric, leads = metrics.metric, metrics.slices["lead"]
    groups = {kind: of for kind, of in metrics.slices.items() if kind not in ("lead", "series")}
    comparison(metrics, metric, "comparison.png", lower_is_better=True)
    with plt.rc_context(STYLE):
        fans(metric, test, quantiles, target)
        save(plots.lead_time(leads, metric), "lead_time.png")
        save(plots.coverage(leads), "coverage.png")
        save(plots.groups(groups, metric, metrics.best), "slices.png")


def fans(metric: str, test: Test, quantiles: np.ndarray, target: str) -> None:
    above, below = parts(metric, test.y, quantiles[:, :, MEDIAN], test.scale)

    def error(rows: np.ndarray) -> float:
        return ratio(above[rows], below[rows])

    weeks = plots.rank_weeks(test.origins.which, test.moments[:, 0], error)
    figure, panels = plt.subplots(len(weeks), 1, figsize=(9, 2.6 * len(weeks)), layout="tight")
    for axes, (name, rows) in zip(panels, weeks.items(), strict=True):
        plots.draw_fans(axes, test.moments[rows], test.y[rows], quantiles[rows])
        series = plain(test.names[test.origins.which[rows[0]]], MAX_CHARACTERS)
        of = f" of {series}" if len(test.names) > 1 else ""
        axes.set_title(f"{name} week{of}, {SCORES[metric].format(error(rows))}")
        axes.set_ylabel(plain(target, MAX_CHARACTERS))
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper right", ncols=4, frameon=False)
    save(figure, "fans.png")
