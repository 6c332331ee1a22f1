"""How good forecasts were, once what they forecast has come."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation import scores
from ..evaluation.intervals import interval_95
from ..features import ONLY_SERIES
from ..params import Params


def live_quality(
    answers: list[dict[str, Any]], labels: str | None, held_out: dict[str, Any], params: Params
) -> dict[str, Any] | None:
    """Return the error of the forecasts whose outcome is known, beside that on the test block.

    labels: a CSV file with the columns ds and y, and unique_id if there are several series. An
    alarm if even the best end of the interval is above the worst of the held-out one's.
    """
    if labels is None:
        return None
    outcome = read_outcome(Path(labels))
    windows = []
    for one in answers:
        name, steps = one["answer"]["unique_id"], one["answer"]["forecast"]
        came = [outcome.get((name, pd.Timestamp(moment).tz_localize(None))) for moment, _ in steps]
        if None not in came:
            windows.append((came, [value for _, value in steps]))
    if not windows:
        raise UserError(f"monitor.labels: {labels} has no forecast's moments whole")
    metric = held_out["versus_best_baseline"]["metric"]
    error = {"wape": scores.wape, "mape": scores.mape}[metric]
    y, y_hat = (np.array(column, dtype=float) for column in zip(*windows, strict=True))

    def score(chosen: np.ndarray) -> float:
        return error(y[chosen], y_hat[chosen])

    interval = interval_95(score, len(y), params.evaluate.bootstrap_samples, params.seed)
    return {
        "metric": metric,
        "answers": len(y),
        "live": score(np.arange(len(y))),
        "interval_95": interval,
        "held_out": held_out["model"][metric],
        "held_out_interval_95": held_out["intervals_95"][metric],
        "is_alarm": interval[0] > held_out["intervals_95"][metric][1],
    }


def read_outcome(path: Path) -> dict[tuple[str, pd.Timestamp], float]:
    """Return what came, by series and moment; times without an offset are taken as the API's."""
    try:
        table = pd.read_csv(path)
        missing = {"ds", "y"} - set(table)
        if missing:
            raise UserError(f"monitor.labels: {path} lacks the column {sorted(missing)[0]!r}")
        moments = pd.to_datetime(table["ds"], utc=True).dt.tz_localize(None)
        values = pd.to_numeric(table["y"])
    except (OSError, ValueError) as error:
        raise UserError(f"monitor.labels: {path} cannot be read: {error}") from None
    names = table["unique_id"].astype(str) if "unique_id" in table else [ONLY_SERIES] * len(table)
    return dict(zip(zip(names, moments, strict=True), values, strict=True))
