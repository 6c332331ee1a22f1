"""The scores of model and baselines, and whether the differences are more than chance."""

from typing import Any

import numpy as np

from portfolio_kit.records import Versus
from portfolio_kit.timegrid.results import Comparison
from portfolio_kit.timegrid.significance import BlockBootstrap, diebold_mariano

from ..features import LEVELS
from ..params import Params
from ..predictor import Manifest
from . import scores
from .held_out import Test


def compare(
    metric: str,
    test: Test,
    quantiles: np.ndarray,
    rivals: dict[str, np.ndarray],
    model: Manifest,
    params: Params,
) -> dict[str, Any]:
    """Return scores, intervals and paired comparisons, for `Metrics`; `metric` decides.

    quantiles are (windows, horizon, levels), the rivals' forecasts (windows, horizon).
    """
    shape, step_size = model.shape, params.evaluate.step_size
    lowest, low, middle, high, highest = np.moveaxis(quantiles, -1, 0)
    table = {name: point_scores(test, y_hat, model.positive) for name, y_hat in rivals.items()}
    best = min(table, key=lambda name: table[name][metric])
    overlap = (shape.horizon - 1) // step_size
    bootstrap = BlockBootstrap(
        test.moments[:, 0],
        max(1, (shape.longest + shape.horizon) // step_size),
        params.evaluate.bootstrap_samples,
        params.seed,
    )

    def sums(y_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        above, below = scores.parts(metric, test.y, y_hat, test.scale)
        return bootstrap.sum(above), bootstrap.sum(below)

    ours, size = sums(middle)
    counts = bootstrap.sum(~np.isnan(test.y))

    def versus(y_hat: np.ndarray) -> Comparison:
        theirs, _ = sums(y_hat)
        difference, interval = bootstrap.ratio(theirs - ours, size)
        p_value = diebold_mariano(ours, theirs, overlap) if interval else None
        return Comparison(difference=difference, interval_95=interval, diebold_mariano_p=p_value)

    def coverage(bottom: np.ndarray, top: np.ndarray) -> tuple[float, list[float] | None]:
        return bootstrap.ratio(bootstrap.sum((test.y >= bottom) & (test.y <= top)), counts)

    against = {name: versus(y_hat) for name, y_hat in rivals.items()}
    lead = against[best]
    covered = {"coverage_80": coverage(low, high), "coverage_95": coverage(lowest, highest)}
    measured = {metric: bootstrap.ratio(ours, size), **covered}
    return {
        "model": {
            **point_scores(test, middle, model.positive),
            "mean_pinball": scores.pinball(test.y, quantiles, list(LEVELS.values())),
            **{name: share for name, (share, _) in covered.items()},
            "width_80": float(np.mean(high - low)),
            "width_95": float(np.mean(highest - lowest)),
        },
        "baselines": table,
        "intervals_95": {name: limits for name, (_, limits) in measured.items() if limits},
        "versus_best_baseline": Versus(
            baseline=best, metric=metric, difference=lead.difference, interval_95=lead.interval_95
        ),
        "versus": against,
    }


def point_scores(test: Test, y_hat: np.ndarray, positive: bool) -> dict[str, float]:
    """Return the errors of forecasts (windows, horizon); MAPE only where no value is near zero."""
    return {
        **({"mape": scores.mape(test.y, y_hat)} if positive else {}),
        "wape": scores.wape(test.y, y_hat),
        "mase": scores.mase(test.y, y_hat, test.scale),
        "mae": scores.mae(test.y, y_hat),
        "rmse": scores.rmse(test.y, y_hat),
    }
