"""Tells whether two samples of signals differ, by more than chance and by enough to matter."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..config import Monitor
from .verdict import Finding

MIN_EXPECTED = 5  # per category in either sample, for the chi-squared approximation (Cochran 1954)


def compare(reference: pd.DataFrame, window: pd.DataFrame, settings: Monitor) -> list[Finding]:
    """Return a finding for each signal; the columns of both tables are the signals.

    Numbers: two-sample Kolmogorov-Smirnov test, whose statistic is the effect. Categories:
    chi-squared test of homogeneity, Cramér's V. The chance of any alarm without a difference is at
    most `settings.significance` (Holm 1979).
    """
    tests = [_test(reference[name], window[name]) for name in reference]
    adjusted = holm([p_value for _, p_value, _ in tests])
    return [
        Finding(
            signal=str(name),
            test=test,
            p_value=p_value,
            adjusted=corrected,
            effect=effect,
            reference=summary(reference[name], reference[name]),
            window=summary(window[name], reference[name]),
            is_alarm=corrected < settings.significance and effect >= settings.effect,
        )
        for name, (test, p_value, effect), corrected in zip(reference, tests, adjusted, strict=True)
    ]


def holm(p_values: list[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the same order."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    raised = np.minimum(1, np.maximum.accumulate(np.array(p_values)[order] * factors))
    adjusted = np.empty(len(p_values))
    adjusted[order] = raised
    return adjusted.tolist()


def summary(values: pd.Series, reference: pd.Series) -> dict[str, float]:
    """Return what to print of a signal: quantiles of numbers, shares of common categories."""
    if pd.api.types.is_numeric_dtype(values):
        names = {"low": 0.1, "median": 0.5, "high": 0.9}
        return {name: float(values.quantile(level)) for name, level in names.items()}
    shares = values.value_counts(normalize=True)
    return {str(name): float(shares.get(name, 0.0)) for name in reference.value_counts().index[:5]}


def _test(reference: pd.Series, window: pd.Series) -> tuple[str, float, float]:
    """Return the test's name, its p-value, and the size of the difference from 0 to 1."""
    if pd.api.types.is_numeric_dtype(reference):
        # With repeated values, such as whole numbers, the test is conservative.
        result: Any = stats.ks_2samp(reference, window, method="asymp")
        return "Kolmogorov-Smirnov", float(result.pvalue), float(result.statistic)
    counts = _counts(reference, window)
    if counts.shape[1] < 2:
        return "chi-squared", 1.0, 0.0
    result = stats.chi2_contingency(counts, correction=False)
    size = float(np.sqrt(result.statistic / counts.sum()))
    return "chi-squared", float(result.pvalue), size


def _counts(reference: pd.Series, window: pd.Series) -> np.ndarray:
    """Return counts (2, categories), with rare categories merged into one."""
    table = pd.DataFrame({"one": reference.value_counts(), "two": window.value_counts()}).fillna(0)
    share = table.sum() / table.to_numpy().sum()
    expected = table.sum(axis=1).to_numpy()[:, None] * share.to_numpy()
    rare = (expected < MIN_EXPECTED).any(axis=1)
    counts = table.to_numpy()[~rare].T
    if rare.any():
        counts = np.column_stack([counts, table.to_numpy()[rare].sum(axis=0)])
    return counts
