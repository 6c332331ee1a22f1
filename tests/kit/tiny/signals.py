"""What `monitor` compares."""

from typing import Any

from portfolio_kit.project import Observation

from .predictor import Predictor


class Signals:
    def __init__(self, predictor: Predictor) -> None:
        self._labels = predictor.manifest.labels

    def __call__(self, text: str, answer: dict[str, Any]) -> Observation:
        assert answer["label"] in self._labels
        signals = {"words": float(len(text.split())), "label": answer["label"]}
        return Observation(text, {"label": answer["label"]}, signals)
