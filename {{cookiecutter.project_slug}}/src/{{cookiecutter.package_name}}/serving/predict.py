"""The predict verb: one answer on the command line."""

import json

from .. import artifacts
from ..params import Params
from .predictor import Predictor


def run(params: Params, inputs: list[str]) -> None:
    """Print the answer for each input as JSON."""
    predictor = Predictor.load(artifacts.MODELS, params.serve)
    print(json.dumps(predictor.predict(inputs), indent=2, ensure_ascii=False))
