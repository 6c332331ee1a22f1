"""How good forecasts were, once their moments have passed."""

from typing import Any

import numpy as np

from portfolio_kit.monitoring.outcomes import compare
from portfolio_kit.monitoring.verdict import Quality
from portfolio_kit.timegrid.outcomes import match

from ..evaluation.metrics import Metrics
from ..evaluation.scores import wape
from ..params import Params


def live_quality(
    answers: list[dict[str, Any]], labels: str, held_out: Metrics, params: Params
) -> Quality:
    """Return the WAPE of forecasts with a known outcome, next to that on the test block.

    labels: a CSV file with the columns ds and y, and unique_id if there are several series.
    """
    windows = match(answers, labels)

    def score(chosen: np.ndarray) -> float:
        y, y_hat = np.concatenate([windows[row] for row in chosen], axis=1)  # of any length each
        return wape(y, y_hat)

    return compare("wape", score, len(windows), held_out, params, lower_is_better=True)
