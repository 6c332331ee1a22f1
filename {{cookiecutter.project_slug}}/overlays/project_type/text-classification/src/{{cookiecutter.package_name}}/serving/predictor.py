"""The exported model, loaded: what evaluation scores is this, and what the API serves is this."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .. import artifacts
from ..errors import UserError
from ..params import Serving
from ..text import bucket, encode, load_tokenizer, pad

BATCH_SIZE = 32


class Predictor:
    """Texts in, labels with probabilities out."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serving) -> None:
        options = onnxruntime.SessionOptions()
        # The default counts the host's cores, not those this process may use.
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.fspath(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = load_tokenizer(folder / "tokenizer.json", manifest["max_tokens"])
        self._review_below = settings.review_below
        self.manifest = manifest
        self.labels: list[str] = manifest["labels"]
        self.version: str = manifest["version"]

    @classmethod
    def load(cls, folder: Path, settings: Serving) -> "Predictor":
        """Load and warm up a model, or raise `UserError` if a file is missing or altered."""
        manifest = artifacts.read_manifest(folder, made_by="train")
        try:
            predictor = cls(folder, manifest, settings)
            predictor.logits(["warm up"])
        except Exception as error:  # onnxruntime's own kinds, or a key that the manifest lacks
            reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            raise UserError(f"{folder}: cannot be loaded ({reason}); run train again") from error
        return predictor

    def logits(self, texts: list[str]) -> np.ndarray:
        """Return one row of scores a text, float32 (texts, classes)."""
        ids = encode(self._tokenizer, texts)
        logits = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        for batch in bucket(np.array([len(row) for row in ids]), BATCH_SIZE):
            input_ids, attention_mask = pad([ids[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            logits[batch] = self._session.run(["logits"], feed)[0]
        return logits

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Return one distribution a text, float64 (texts, classes), each row summing to 1."""
        logits = self.logits(texts).astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return label, confidence, probabilities by label and needs_review for each text."""
        return [
            {
                "label": self.labels[row.argmax()],
                "confidence": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
                "needs_review": bool(row.max() < self._review_below),
            }
            for row in self.probabilities(texts)
        ]
