"""What came out in the end, from a file, and what it says of the answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation.intervals import interval_95
from ..params import Params


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Say in plain words what is wrong with a file of outcomes."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(f"monitor.labels: {path} cannot be read: {error}") from None


def read(path: str, columns: set[str], **options: Any) -> pd.DataFrame:
    """Return a CSV file that has these columns; options are those of `pandas.read_csv`."""
    with readable(path):
        table = pd.read_csv(path, **options)
    missing = columns - set(table)
    if missing:
        raise UserError(f"monitor.labels: {path} lacks the column {sorted(missing)[0]!r}")
    return table


def compare(
    metric: str,
    score: Callable[[np.ndarray], float],
    answers: int,
    held_out: dict[str, Any],
    params: Params,
    lower_is_better: bool = False,
) -> dict[str, Any]:
    """Return the score of so many answers beside that of the held-out test set.

    `score` takes indices of answers. An alarm if even the best end of its interval is worse than
    the worst end of the held-out one.
    """
    low, high = interval_95(score, answers, params.evaluate.bootstrap_samples, params.seed)
    lowest, highest = held_out["intervals_95"][metric]
    return {
        "metric": metric,
        "answers": answers,
        "live": score(np.arange(answers)),
        "interval_95": [low, high],
        "held_out": held_out["model"][metric],
        "held_out_interval_95": [lowest, highest],
        "is_alarm": low > highest if lower_is_better else high < lowest,
    }
