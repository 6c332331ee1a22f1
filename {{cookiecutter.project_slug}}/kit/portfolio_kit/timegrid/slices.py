"""Errors of parts of the test block: single series, lead times, hours."""

import numpy as np

from .. import markdown
from ..records import Record

OURS = "this model"
MOST_SERIES, MOST_LEADS = 10, 24  # rows of a table

# What a metric sums above and below its fraction, by model; both are (windows, horizon).
Sums = dict[str, tuple[np.ndarray, np.ndarray]]
Groups = dict[str, tuple[tuple[str, ...], np.ndarray]]  # names, and which one each value is in


class Slice(Record):
    """One part of the test block."""

    rows: int
    error: dict[str, float | None]  # by model, in the metric that decides; None: undefined
    mae: float  # of this model, in the unit of the series
    coverage_80: float
    coverage_95: float


def ratio(above: np.ndarray, below: np.ndarray) -> float:
    """Return the ratio of two sums without NaN; NaN where the one below is zero."""
    total = np.nansum(below)
    return float(np.nansum(above) / total) if total else np.nan


def errors(
    groups: Groups, y: np.ndarray, quantiles: np.ndarray, sums: Sums
) -> dict[str, dict[str, Slice]]:
    """Return by kind of group, and by group, the error of each model, and our coverage.

    y is (windows, horizon), with NaN where nothing is scored, quantiles (windows, horizon, 5).
    """
    lowest, low, middle, high, highest = np.moveaxis(quantiles, -1, 0)
    off, in_80, in_95 = np.abs(y - middle), (low <= y) & (y <= high), (lowest <= y) & (y <= highest)
    found: dict[str, dict[str, Slice]] = {kind: {} for kind in groups}
    for kind, (names, group) in groups.items():
        for number, name in enumerate(names):
            rows = (group == number) & ~np.isnan(y)
            if rows.any():
                scores = {
                    model: ratio(above[rows], below[rows]) for model, (above, below) in sums.items()
                }
                found[kind][name] = Slice(
                    rows=int(rows.sum()),
                    error={m: e if np.isfinite(e) else None for m, e in scores.items()},
                    mae=float(off[rows].mean()),
                    coverage_80=float(in_80[rows].mean()),
                    coverage_95=float(in_95[rows].mean()),
                )
    return found


def table(kind: str, parts: dict[str, Slice], metric: str, rival: str, link: str) -> str:
    """Return errors and coverage of the slices of a kind in Markdown, next to a rival's errors.

    Of many series it shows those with the largest errors, and of many lead times some; `link` leads
    to the file that has all.
    """
    shown, note, unit = list(parts.items()), "", "|MAE in its unit" if kind == "series" else ""
    if kind == "series" and len(parts) > MOST_SERIES:
        shown.sort(key=lambda pair: pair[1].error[OURS] or 0.0, reverse=True)
        shown = shown[:MOST_SERIES]
        note = f"These {len(shown)} of {len(parts):,} series have the largest errors"
    elif kind == "lead" and len(parts) > MOST_LEADS:
        shown = [shown[at] for at in np.linspace(0, len(parts) - 1, MOST_LEADS // 2).astype(int)]
        note = f"These are {len(shown)} of {len(parts):,} lead times"
    rows = []
    for name, part in shown:
        both = (part.error[model] for model in (OURS, rival))
        cells = ["–" if error is None else f"{error:.2f}" for error in both]
        cells += [f"{part.mae:.4g}"] if unit else []
        rows.append(
            (name, f"{part.rows:,}", *cells, f"{part.coverage_80:.1%}", f"{part.coverage_95:.1%}")
        )
    columns = f"{kind}|values|{metric.upper()}|{rival}{unit}|80% covers|95% covers"
    all_ = f"\n\n{note}; [`reports/metrics.json`]({link}) has all." if note else ""
    return markdown.table(columns, rows) + all_
