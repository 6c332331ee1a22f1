"""What the machinery in `kit/` needs to know of this project.

Modules are imported on use, so `serve` runs without the libraries that only training installs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from portfolio_kit import Project, Reporting, Serving

from .params import Params

if TYPE_CHECKING:
    from portfolio_kit.bench.rivals import Rivals
    from portfolio_kit.monitoring.verdict import Quality


def data(params: Params) -> None:
    from .data.prepare import prepare

    prepare(params)


def train(params: Params) -> None:
    from .training.train import train

    train(params)


def evaluate(params: Params) -> None:
    from .evaluation.evaluate import evaluate

    evaluate(params)


def serving() -> Serving:
    from .predictor import Predictor
    from .serving.api import router
    from .signals import Signals

    return Serving(Predictor, router, Signals, Path(__file__).parent / "serving" / "static")


def reporting() -> Reporting:
    from .data.prepare import Dataset
    from .evaluation.figures import CAPTIONS
    from .evaluation.metrics import Metrics, highlights, model_card
    from .predictor import Manifest

    return Reporting(
        dataset=Dataset,
        manifest=Manifest,
        metrics=Metrics,
        rows="queries",
        score="nDCG@10 {:.3f}",
        captions=CAPTIONS,
        highlights=highlights,
        model_card=model_card,
        more=", and [`reports/errors.md`](reports/errors.md) shows where searches fail",
    )


def quality(answers: list[dict[str, Any]], labels: str, held_out: Any, params: Params) -> "Quality":
    from .monitoring.quality import live_quality

    return live_quality(answers, labels, held_out, params)


def rivals() -> "Rivals":
    from benchmarks.rivals import RIVALS  # next to the package, and not shipped with it

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
