"""How good the answers were, once people have said what would have been right."""

from typing import Any

import numpy as np

from portfolio_kit.errors import UserError
from portfolio_kit.labels import named
from portfolio_kit.monitoring import outcomes
from portfolio_kit.monitoring.verdict import Quality

from ..evaluation.metrics import Metrics
from ..evaluation.scores import macro_f1
from ..params import Params


def live_quality(
    answers: list[dict[str, Any]], labels: str, held_out: Metrics, params: Params
) -> Quality:
    """Return macro-F1 of the answers with a known label, next to that of the held-out test set.

    labels: a CSV file with the columns id (X-Request-ID, a slash, the text's place) and label.
    """
    table = outcomes.read(labels, {"id", "label"}, dtype=str, keep_default_na=False)
    names = named(table["label"], params.data.label_names, must_occur=False)
    known = dict(zip(table["id"], names, strict=True))
    rows = [(one["answer"]["label"], known[one["id"]]) for one in answers if one["id"] in known]
    if not rows:
        raise UserError(f"monitor.labels: no id in {labels} matches a compared answer")
    names = sorted(held_out.per_class)
    if strange := sorted({label for _, label in rows} - set(names)):
        raise UserError(f"monitor.labels: {labels} has {strange[0]!r}; the labels are {names}")
    ours, right = np.array([[names.index(label) for label in row] for row in rows]).T

    def score(chosen: np.ndarray) -> float:
        return macro_f1(right[chosen], ours[chosen], len(names))

    return outcomes.compare("macro_f1", score, len(rows), held_out, params)
