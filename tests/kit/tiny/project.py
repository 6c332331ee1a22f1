"""What the kit needs to know of this project.

Modules are imported on use, so `serve` needs no training library, and sets numpy's threads first.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from portfolio_kit import Project, Reporting, Serving

from .params import Params

if TYPE_CHECKING:
    from portfolio_kit.bench.rivals import Rivals
    from portfolio_kit.monitoring.verdict import Quality

FOLDER = Path(__file__).parent


def data(params: Params) -> None:
    from .data import data

    data(params)


def train(params: Params) -> None:
    from .stages import train

    train(params)


def evaluate(params: Params) -> None:
    from .stages import evaluate

    evaluate(params)


def serving() -> Serving:
    from .api import router
    from .predictor import Predictor
    from .signals import Signals

    return Serving(Predictor, router, Signals, FOLDER / "static")


def reporting() -> Reporting:
    from portfolio_kit.records import Dataset, Metrics

    from .predictor import Manifest
    from .stages import CAPTIONS

    return Reporting(
        dataset=Dataset,
        manifest=Manifest,
        metrics=Metrics,
        rows="texts",
        score="Accuracy {:.3f}",
        captions=CAPTIONS,
        highlights=lambda metrics: f"Errors: {metrics.model['error_rate']:.3f}.",
        request=lambda texts, model: {"path": "/label", "body": {"texts": texts[:2]}},
        model_card=lambda metrics, model: [f"## Labels\n\n{', '.join(model.labels)}"],
    )


def quality(answers: list[dict[str, Any]], labels: str, held_out: Any, params: Params) -> "Quality":
    import numpy as np

    from portfolio_kit.monitoring import outcomes

    known = outcomes.read(labels, {"id", "label"}, dtype=str).set_index("id")["label"]
    pairs = ((one["answer"]["label"], known.get(one["id"])) for one in answers)
    is_right = np.array([ours == theirs for ours, theirs in pairs if theirs is not None])
    return outcomes.compare(
        "accuracy", lambda rows: float(is_right[rows].mean()), len(is_right), held_out, params
    )


def rivals() -> "Rivals":
    from .rivals import RIVALS

    return RIVALS


PROJECT = Project(
    package=__package__,
    params=Params,
    data=data,
    train=train,
    evaluate=evaluate,
    serving=serving,
    reporting=reporting,
    quality=quality,
    rivals=rivals,
)
