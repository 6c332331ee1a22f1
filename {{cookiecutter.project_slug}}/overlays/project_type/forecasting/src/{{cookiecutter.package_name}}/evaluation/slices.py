"""Errors by lead time, hour, weekday and holiday, beside the best of the baselines."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import Shape
from ..timegrid import DAY, parse_freq
from .scores import coverage, wape

if TYPE_CHECKING:
    from .evaluate import Test

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def errors(
    test: "Test", quantiles: np.ndarray, rivals: dict[str, np.ndarray], shape: Shape
) -> dict[str, Any]:
    """Return for each kind of slice the WAPE of all, and coverage and rows of the model."""
    forecasts = {"this model": quantiles[:, :, quantiles.shape[2] // 2], **rivals}
    lowest, low, _, high, highest = np.moveaxis(quantiles, -1, 0)
    sliced: dict[str, Any] = {}
    for kind, values in kinds(test, shape).items():
        sliced[kind] = {}
        for value in dict.fromkeys(sorted(values.ravel().tolist(), key=_order)):
            rows = (values == value) & ~np.isnan(test.y)
            if not rows.any():
                continue
            y = test.y[rows]
            sliced[kind][str(value)] = {
                "rows": int(rows.sum()),
                "wape": {name: wape(y, y_hat[rows]) for name, y_hat in forecasts.items()},
                "coverage_80": coverage(y, low[rows], high[rows]),
                "coverage_95": coverage(y, lowest[rows], highest[rows]),
            }
    return sliced


def kinds(test: "Test", shape: Shape) -> dict[str, np.ndarray]:
    """Return for each kind of slice which one each value (windows, horizon) belongs to."""
    calendar, step = shape.calendar, parse_freq(shape.freq)
    local = calendar.local(test.moments.ravel())
    found = {"lead": np.broadcast_to(np.arange(1, shape.horizon + 1), test.y.shape)}
    if step < DAY:
        hours = (local - local.astype("datetime64[D]")) // np.timedelta64(1, "h")
        found["hour"] = hours.reshape(test.y.shape)
    if step < 7 * DAY:
        found["weekday"] = np.array(WEEKDAYS)[calendar.weekday(local)].reshape(test.y.shape)
    if shape.holidays:
        names = np.where(calendar.is_holiday(local), "holiday", "no holiday")
        found["holiday"] = names.reshape(test.y.shape)
    return found


def _order(value: Any) -> Any:
    return WEEKDAYS.index(value) if value in WEEKDAYS else value
