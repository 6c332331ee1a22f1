"""Errors of forecasts: y and y_hat are (windows, horizon), and NaN in y is left out."""

import numpy as np

from portfolio_kit.timegrid.slices import ratio


def wape(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the weighted absolute percentage error, sum |y - y_hat| / sum |y|, in percent."""
    return ratio(*parts("wape", y, y_hat))


def mae(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the mean absolute error, mean |y - y_hat|."""
    return ratio(*parts("mae", y, y_hat))


def mase(y: np.ndarray, y_hat: np.ndarray, scale: np.ndarray) -> float:
    """Return the mean absolute scaled error (Hyndman and Koehler 2006).

    scale (windows,) is `naive_error` of each window's series; where it is zero, the window is left
    out.
    """
    return ratio(*parts("mase", y, y_hat, scale))


def parts(
    metric: str, y: np.ndarray, y_hat: np.ndarray, scale: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what wape, mae or mase sums above its fraction and what below, both like y.

    `scale` is needed for mase only.
    """
    error = np.abs(y - y_hat)
    if metric == "wape":
        return 100 * error, np.abs(y)
    if metric == "mase":
        assert scale is not None
        error = error / np.where(scale > 0, scale, np.nan)[:, None]
    return error, np.where(np.isnan(error), np.nan, 1.0)


def mape(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the mean absolute percentage error, mean |y - y_hat| / |y|, in percent."""
    return float(100 * np.nanmean(np.abs(y - y_hat) / np.abs(y)))


def rmse(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.nanmean((y - y_hat) ** 2)))


def naive_error(y: np.ndarray, season: int) -> float:
    """Return the mean absolute error of repeating the value one season before, on y (moments,)."""
    return float(np.nanmean(np.abs(y[season:] - y[:-season])))


def pinball(y: np.ndarray, quantiles: np.ndarray, levels: list[float]) -> float:
    """Return the mean pinball loss of quantiles (windows, horizon, levels)."""
    error = y[:, :, None] - quantiles
    shares = np.asarray(levels)
    return float(np.nanmean(np.maximum(shares * error, (shares - 1) * error)))
