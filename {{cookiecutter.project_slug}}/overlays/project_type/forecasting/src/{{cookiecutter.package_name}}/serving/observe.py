"""What is kept of a forecast, so that `monitor` can tell whether series have changed."""

from pathlib import Path

import numpy as np

from ..features import Shape
from .prediction_log import Observation
from .predictor import Predictor, Question, rows_of


class Observer:
    """Measures the end of a series, and the forecast that followed."""

    def __init__(self, shape: Shape, levels: list[float]) -> None:
        self._shape, self._levels = shape, levels

    def __call__(self, question: Question, quantiles: np.ndarray) -> Observation:
        """Return the forecast, and as signals: level, spread and seasonality of the newest part of
        the series, change of level that is forecast, width of the 80% interval.

        Spread, change and width are shares of the level. Seasonality is the correlation of the last
        season with the one before it.
        """
        season = self._shape.longest
        y = question.series.y[-2 * season :]
        last, before = y[-season:], y[-2 * season : -season]
        level = float(np.abs(last).mean()) or 1.0
        rows = rows_of(question, quantiles[: self._shape.horizon], self._shape, self._levels)
        middle, low, high = (
            np.array([row[name] for row in rows]) for name in ("y_hat", "lo_80", "hi_80")
        )
        return Observation(
            input={"unique_id": question.series.name, "steps": len(question.series.y)},
            answer={
                "unique_id": question.series.name,
                "forecast": [[row["ds"], round(row["y_hat"], 4)] for row in rows],
            },
            signals={
                "level": round(float(last.mean()), 4),
                "spread": round(float(last.std()) / level, 4),
                "seasonality": round(_correlation(last, before), 4),
                "change": round(float(middle.mean() - last.mean()) / level, 4),
                "width": round(float((high - low).mean()) / level, 4),
            },
        )


def observer(predictor: Predictor, folder: Path) -> Observer:
    """Return what measures the answers of a model."""
    return Observer(predictor.shape, predictor.levels)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two stretches, or 0 if one of them does not move."""
    if len(one) != len(other) or not (one.std() and other.std()):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
