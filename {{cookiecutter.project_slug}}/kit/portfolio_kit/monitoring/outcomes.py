"""Reads a file of outcomes and scores the answers by it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from ..config import Settings
from ..errors import UserError
from ..intervals import interval_95
from ..records import Metrics
from .verdict import Quality

MIN_ANSWERS = 5  # of fewer, an interval says nothing


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Raise `UserError` for whatever is wrong with a file of outcomes."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(f"monitor.labels: {path} cannot be read: {error}") from None


def read(path: str, columns: set[str], **options: Any) -> pd.DataFrame:
    """Return a CSV file with at least these columns; options are those of `pandas.read_csv`."""
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
    held_out: Metrics,
    params: Settings,
    lower_is_better: bool = False,
) -> Quality:
    """Return the score of the answers next to that of the held-out test set.

    `score` takes indices of answers. It is an alarm when the live 95% interval lies entirely on the
    worse side of the test set's. Few answers have no interval, so they raise no alarm: drawn again
    and again they would seem certain.
    """
    live, known = None, held_out.intervals_95.get(metric)
    if answers >= MIN_ANSWERS:
        live = interval_95(score, answers, params.evaluate.bootstrap_samples, params.seed)
    is_alarm = False
    if live and known:
        is_alarm = live[0] > known[1] if lower_is_better else live[1] < known[0]
    return Quality(
        metric=metric,
        answers=answers,
        live=score(np.arange(answers)),
        interval_95=live,
        held_out=held_out.model[metric],
        held_out_interval_95=known,
        is_alarm=is_alarm,
    )
