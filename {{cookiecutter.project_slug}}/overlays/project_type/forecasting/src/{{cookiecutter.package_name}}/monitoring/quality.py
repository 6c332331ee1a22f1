"""How good forecasts were, once their moments have passed."""

from typing import Any

import numpy as np

from portfolio_kit.errors import UserError
from portfolio_kit.monitoring.outcomes import compare
from portfolio_kit.monitoring.verdict import Quality
from portfolio_kit.timegrid.outcomes import match
from portfolio_kit.timegrid.slices import ratio

from ..evaluation.metrics import Metrics
from ..evaluation.scores import parts
from ..params import Params


def live_quality(
    answers: list[dict[str, Any]], labels: str, held_out: Metrics, params: Params
) -> Quality:
    """Return the error of forecasts with a known outcome, next to that on the test block.

    labels: a CSV file with the columns ds and y, and unique_id if there are several series. Raises
    `UserError` if MASE decides and no series is one of the test block, whose scale is known.
    """
    metric, scales = held_out.metric, held_out.scales
    windows = [
        parts(metric, y[None], y_hat[None], np.array([scales.get(name, np.nan)]))
        for name, (y, y_hat) in match(answers, labels)
        if metric != "mase" or name in scales
    ]
    if not windows:
        raise UserError(
            f"monitor.labels: {labels} covers forecasts of other series only; MASE needs one of "
            "the test block"
        )

    def score(chosen: np.ndarray) -> float:
        above, below = zip(*(windows[row] for row in chosen), strict=True)
        return ratio(np.concatenate(above, axis=1), np.concatenate(below, axis=1))  # any lengths

    return compare(metric, score, len(windows), held_out, params, lower_is_better=True)
