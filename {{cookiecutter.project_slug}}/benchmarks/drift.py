"""Counts false alarms and missed ones: python -m benchmarks.drift, in about a minute.

Answers to the validation data are divided in two: one half is the reference, windows are drawn from
the other, as it is and changed on purpose. Exits with 1 if it is silent too seldom, or too often.
"""

import random
import sys
from typing import Any

import numpy as np
import pandas as pd

from {{ cookiecutter.package_name }} import artifacts, config
from {{ cookiecutter.package_name }}.monitoring import drift
from {{ cookiecutter.package_name }}.params import Params
from {{ cookiecutter.package_name }}.serving.observe import observer
from {{ cookiecutter.package_name }}.serving.predictor import Predictor

from . import shifts

RUNS = 100
AT_LEAST = 95  # of them right
WINDOW = 300  # answers, or as many as there are


def main() -> None:
    params = config.load(Params)
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    inputs = shifts.inputs(params)
    tables = {"unchanged": signals(predictor, inputs)}
    source = random.Random(params.seed)
    for name, change in shifts.SHIFTS.items():
        tables[name] = signals(predictor, change(inputs, source))
    wrong = False
    for name, table in tables.items():
        alarms = count_alarms(tables["unchanged"], table, params)
        right = RUNS - alarms if name == "unchanged" else alarms
        wrong |= right < AT_LEAST
        print(f"{name}: alarm in {alarms} of {RUNS} windows (right in at least {AT_LEAST})")
    sys.exit(wrong)


def signals(predictor: Predictor, inputs: list[Any]) -> pd.DataFrame:
    """Return the signals of the answer to each input, as the prediction log has them."""
    observe = observer(predictor, artifacts.MODELS)
    answers = shifts.answers(predictor, inputs)
    return pd.DataFrame([observe(*pair).signals for pair in zip(inputs, answers, strict=True)])


def count_alarms(unchanged: pd.DataFrame, table: pd.DataFrame, params: Params) -> int:
    """Return in how many windows of the second half something differs from the first.

    Rows of both tables belong together; the halves are others in each run.
    """
    generator, alarms = np.random.default_rng(params.seed), 0
    for _ in range(RUNS):
        rows = generator.permutation(len(unchanged))
        reference, rest = np.array_split(rows, 2)
        window = table.iloc[rest[rest < len(table)][:WINDOW]]
        findings = drift.compare(unchanged.iloc[reference], window, params.monitor)
        alarms += any(one.is_alarm for one in findings)
    return alarms


if __name__ == "__main__":
    main()
