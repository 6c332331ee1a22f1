"""How good forecasts were, once what they forecast has come."""

from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation import scores
from ..features import ONLY_SERIES
from ..params import Params
from . import outcomes


def live_quality(
    answers: list[dict[str, Any]], labels: str | None, held_out: dict[str, Any], params: Params
) -> dict[str, Any] | None:
    """Return the error of the forecasts whose outcome is known, beside that on the test block.

    labels: a CSV file with the columns ds and y, and unique_id if there are several series.
    """
    if labels is None:
        return None
    came = read_values(labels)
    windows = []
    for one in answers:
        name, steps = one["answer"]["unique_id"], one["answer"]["forecast"]
        values = [came.get((name, pd.Timestamp(moment).tz_localize(None))) for moment, _ in steps]
        if None not in values:
            windows.append(np.array([values, [value for _, value in steps]], dtype=float))
    if not windows:
        raise UserError(f"monitor.labels: {labels} has no forecast's moments whole")
    metric = held_out["versus_best_baseline"]["metric"]
    error = {"wape": scores.wape, "mape": scores.mape}[metric]

    def score(chosen: np.ndarray) -> float:
        y, y_hat = np.concatenate([windows[row] for row in chosen], axis=1)  # of any length each
        return error(y, y_hat)

    return outcomes.compare(metric, score, len(windows), held_out, params, lower_is_better=True)


def read_values(path: str) -> dict[tuple[str, pd.Timestamp], float]:
    """Return what came, by series and moment; times without an offset are taken as the API's."""
    table = outcomes.read(path, {"ds", "y"})
    with outcomes.readable(path):
        moments = pd.to_datetime(table["ds"], utc=True).dt.tz_localize(None)
        values = pd.to_numeric(table["y"])
    names = table["unique_id"].astype(str) if "unique_id" in table else [ONLY_SERIES] * len(table)
    return dict(zip(zip(names, moments, strict=True), values, strict=True))
