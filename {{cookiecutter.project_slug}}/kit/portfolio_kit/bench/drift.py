"""Counts false and missed alarms of the drift detection, in about a minute.

Answers to the validation data are split in two: one half is the reference, windows are drawn from
the other, unchanged and shifted on purpose.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import artifacts, config
from ..monitoring import drift
from ..project import Project

RUNS = 100
AT_LEAST = 95  # of them correct
WINDOW = 300  # answers, or as many as there are
Shift = Callable[[list[Any], random.Random], list[Any]]


def bench(
    project: Project,
    inputs: Callable[[Any], list[Any]],
    answers: Callable[[Any, list[Any]], Sequence[Any]],
    shifts: Mapping[str, Shift],
) -> int:
    """Print how often each shift raises an alarm; return 1 if that is too often or too seldom."""
    params = config.load(project.params, project.package)
    serving = project.serving()
    predictor = serving.predictor.load(artifacts.MODELS, params.serve)
    observe, asked, chance = serving.signals(predictor), inputs(params), random.Random(params.seed)

    def signals(items: list[Any]) -> pd.DataFrame:
        pairs = zip(items, answers(predictor, items), strict=True)
        return pd.DataFrame([observe(*pair).signals for pair in pairs])

    unchanged, is_wrong = signals(asked), False
    tables = {"unchanged": unchanged}
    tables |= {name: signals(shift(asked, chance)) for name, shift in shifts.items()}
    for name, table in tables.items():
        alarms = count_alarms(unchanged, table, params)
        right = RUNS - alarms if name == "unchanged" else alarms
        is_wrong |= right < AT_LEAST
        print(f"{name}: alarm in {alarms} of {RUNS} windows (correct in at least {AT_LEAST})")
    return int(is_wrong)


def count_alarms(unchanged: pd.DataFrame, table: pd.DataFrame, params: Any) -> int:
    """Return how many windows of the second half differ from the first.

    Rows of both tables correspond; each run splits them again.
    """
    generator, alarms = np.random.default_rng(params.seed), 0
    for _ in range(RUNS):
        reference, rest = np.array_split(generator.permutation(len(unchanged)), 2)
        window = table.iloc[rest[rest < len(table)][:WINDOW]]
        findings = drift.compare(unchanged.iloc[reference], window, params.monitor)
        alarms += any(one.is_alarm for one in findings)
    return alarms
