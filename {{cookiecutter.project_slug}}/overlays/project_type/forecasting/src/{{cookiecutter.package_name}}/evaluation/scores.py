"""Errors of forecasts: y and y_hat are (windows, horizon), and NaN in y is left out."""

import numpy as np


def wape(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the weighted absolute percentage error, sum |y - y_hat| / sum |y|, in percent."""
    return float(100 * np.nansum(np.abs(y - y_hat)) / np.nansum(np.abs(y)))


def mape(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the mean absolute percentage error, mean |y - y_hat| / |y|, in percent."""
    return float(100 * np.nanmean(np.abs(y - y_hat) / np.abs(y)))


def rmse(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.nanmean((y - y_hat) ** 2)))


def mase(y: np.ndarray, y_hat: np.ndarray, scale: np.ndarray) -> float:
    """Return the mean absolute scaled error (Hyndman and Koehler 2006).

    scale (windows,) is `naive_error` of each window's series.
    """
    return float(np.nanmean(np.abs(y - y_hat) / scale[:, None]))


def naive_error(y: np.ndarray, season: int) -> float:
    """Return the mean absolute error of repeating the value one season before, on y (moments,)."""
    return float(np.nanmean(np.abs(y[season:] - y[:-season])))


def pinball(y: np.ndarray, quantiles: np.ndarray, levels: list[float]) -> float:
    """Return the mean pinball loss of quantiles (windows, horizon, levels)."""
    error = y[:, :, None] - quantiles
    shares = np.asarray(levels)
    return float(np.nanmean(np.maximum(shares * error, (shares - 1) * error)))


def coverage(y: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Return the share of values from `low` to `high`."""
    inside = (y >= low) & (y <= high)
    return float(inside[~np.isnan(y)].mean())
