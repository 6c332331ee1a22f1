"""What is measured of a series and its forecast, so `monitor` can tell whether series changed."""

import numpy as np

from portfolio_kit.project import Observation
from portfolio_kit.timegrid.series import Question, correlation

from .predictor import Predictor, rows_of


class Signals:
    """Measures the end of a series and the forecast that followed."""

    def __init__(self, predictor: Predictor) -> None:
        self._shape = predictor.shape

    def __call__(self, question: Question, quantiles: np.ndarray) -> Observation:
        """Return the forecast, and as signals: level, spread and seasonality of the newest season,
        change of level that is forecast, width of the 80% interval.

        Change and width are in units of the spread: a series may have any level, zero too.
        Seasonality is the correlation of the last season with the one before it.
        """
        season = self._shape.longest
        y = question.series.y[-2 * season :]
        last, before = y[-season:], y[-2 * season : -season]
        spread = float(last.std())
        unit = spread or 1.0
        quantiles = quantiles[: self._shape.horizon]
        _, low, middle, high, _ = quantiles.T.astype(float)
        return Observation(
            input={"unique_id": question.series.name, "steps": len(question.series.y)},
            answer={
                "unique_id": question.series.name,
                "forecast": [
                    [row["ds"], round(row["y_hat"], 4)]
                    for row in rows_of(question, quantiles, self._shape)
                ],
            },
            signals={
                "level": round(float(last.mean()), 4),
                "spread": round(spread, 4),
                "seasonality": round(correlation(last, before), 4),
                "change": round(float(middle.mean() - last.mean()) / unit, 4),
                "width": round(float((high - low).mean()) / unit, 4),
            },
        )
