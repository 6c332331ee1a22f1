"""What the machinery in `kit/` needs to know of this project.

Modules are imported on use, so `serve` runs without the libraries that only training installs.
"""

from pathlib import Path
from typing import Any

from portfolio_kit import Project, Reporting, Serving
from portfolio_kit.bench.rivals import Rivals
from portfolio_kit.monitoring.verdict import Quality

from .params import Params


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
    from .evaluation.metrics import REPORTING

    return REPORTING


def quality(answers: list[dict[str, Any]], labels: str, held_out: Any, params: Params) -> Quality:
    from .monitoring.quality import live_quality

    return live_quality(answers, labels, held_out, params)


def rivals() -> Rivals:
    from benchmarks.rivals import RIVALS  # next to the package, and not shipped with it

    return RIVALS


PROJECT = Project(__package__, Params, data, train, evaluate, serving, reporting, quality, rivals)
