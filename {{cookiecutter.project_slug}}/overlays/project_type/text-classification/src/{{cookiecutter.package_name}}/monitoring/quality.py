"""How good the answers were, once people have said what would have been right."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..evaluation.intervals import interval_95
from ..evaluation.scores import macro_f1
from ..params import Params

METRIC = "macro_f1"


def live_quality(
    answers: list[dict[str, Any]], labels: str | None, held_out: dict[str, Any], params: Params
) -> dict[str, Any] | None:
    """Return macro-F1 of the answers whose label is known, beside that on the held-out test set.

    labels: a CSV file with the columns id (the request's X-Request-ID, a slash, the place of the
    text in it) and label. An alarm if even the best end of the interval is below the worst of the
    held-out one's.
    """
    if labels is None:
        return None
    known = read_labels(Path(labels))
    rows = [(one["answer"]["label"], known[one["id"]]) for one in answers if one["id"] in known]
    if not rows:
        raise UserError(f"monitor.labels: no id in {labels} is that of an answer that is compared")
    names = sorted(held_out["per_class"])
    strange = sorted({label for _, label in rows} - set(names))
    if strange:
        raise UserError(f"monitor.labels: {labels} has {strange[0]!r}; the labels are {names}")
    ours, right = (
        np.array([names.index(name) for name in column]) for column in zip(*rows, strict=True)
    )

    def score(chosen: np.ndarray) -> float:
        return macro_f1(right[chosen], ours[chosen], len(names))

    interval = interval_95(score, len(rows), params.evaluate.bootstrap_samples, params.seed)
    return {
        "metric": METRIC,
        "answers": len(rows),
        "live": score(np.arange(len(rows))),
        "interval_95": interval,
        "held_out": held_out["model"][METRIC],
        "held_out_interval_95": held_out["intervals_95"][METRIC],
        "is_alarm": interval[1] < held_out["intervals_95"][METRIC][0],
    }


def read_labels(path: Path) -> dict[str, str]:
    """Return labels by the id of their answer."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"monitor.labels: {path} cannot be read: {error}") from None
    missing = {"id", "label"} - set(table)
    if missing:
        raise UserError(f"monitor.labels: {path} lacks the column {sorted(missing)[0]!r}")
    return dict(zip(table["id"], table["label"], strict=True))
