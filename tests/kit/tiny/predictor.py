"""The model behind the API."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from portfolio_kit import records
from portfolio_kit.serving.model import OnnxModel

from .params import Serving


class Manifest(records.Manifest):
    labels: list[str]


class Predictor(OnnxModel[Manifest]):
    manifest_type = Manifest
    max_cost = 256  # characters

    def __init__(self, folder: Path, manifest: Manifest, settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        self._seconds = settings.seconds_per_text

    def warm_up(self) -> None:
        self.predict(["warm up"])

    def prepare(self, texts: list[str]) -> list[str]:
        return texts

    def answer(self, texts: list[str]) -> list[dict[str, Any]]:
        time.sleep(self._seconds * len(texts))
        lengths = np.array([[len(text)] for text in texts], dtype=np.float32)
        [scores] = self._session.run(["scores"], {"lengths": lengths})  # (texts, 1)
        labels = self.manifest.labels
        return [{"label": labels[int(p > 0.5)], "score": float(p)} for p in scores[:, 0]]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return self.answer(self.prepare(texts))
