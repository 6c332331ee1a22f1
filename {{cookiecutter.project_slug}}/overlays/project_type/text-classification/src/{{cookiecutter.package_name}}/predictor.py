"""The exported model, loaded: evaluation, serving and scoring all use this class."""

from pathlib import Path
from typing import Any

import numpy as np

from portfolio_kit import records
from portfolio_kit.serving.model import OnnxModel
from portfolio_kit.text.tokens import bucket, encode, load_tokenizer, pad

from .params import Serving

VALIDATION = "validation.parquet"  # is_right and confidence by text of `valid`, before the refit
BATCH_SIZE = 32
Ids = list[int]  # a text's tokens


class ModelFile(records.Record):
    """One precision of the model: its size, its speed on one thread, its validation accuracy."""

    megabytes: float
    milliseconds_per_text: float
    accuracy: float


class Manifest(records.Manifest):
    """The manifest of `models/`."""

    labels: list[str]
    max_tokens: int
    backbone: str
    temperature: float  # the logits are divided by it
    target_precision: float  # of the answers that are not abstained from
    trained_on: list[str]  # with `valid` once all else was chosen and measured on it
    model_files: dict[str, ModelFile]  # by precision; empty until they are measured
    threshold: float = 1.0  # of confidence, from which on that precision was reached on `valid`
    accuracy_lost: float = 0.0  # by the conversion to ONNX


class Predictor(OnnxModel[Manifest]):
    """Maps texts to labels with probabilities."""

    manifest_type = Manifest
    max_cost = 256  # tokens

    def __init__(self, folder: Path, manifest: Manifest, settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        self._tokenizer = load_tokenizer(folder / "tokenizer.json", manifest.max_tokens)
        self._hidden = self._session.get_outputs()[1].shape[1]
        chosen = settings.review_below  # below it the model abstains and a person should look
        self.review_below = manifest.threshold if chosen is None else chosen

    def prepare(self, texts: list[str]) -> list[Ids]:
        """Return the tokens of each text."""
        return encode(self._tokenizer, texts)

    def compute(self, ids: list[Ids]) -> tuple[np.ndarray, np.ndarray]:
        """Return logits, float32 (texts, classes), and unit vectors, float32 (texts, hidden)."""
        logits = np.empty((len(ids), len(self.manifest.labels)), dtype=np.float32)
        embeddings = np.empty((len(ids), self._hidden), dtype=np.float32)
        for batch in bucket(np.array([len(row) for row in ids]), BATCH_SIZE):
            input_ids, attention_mask = pad([ids[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            logits[batch], embeddings[batch] = self._session.run(["logits", "embeddings"], feed)
        return logits, embeddings

    def answer(self, ids: list[Ids]) -> list[dict[str, Any]]:
        """Return label, confidence, probabilities by label, and needs_review for each text.

        The embedding is for `Signals`; clients do not get it.
        """
        logits, embeddings = self.compute(ids)
        labels = self.manifest.labels
        return [
            {
                "label": labels[row.argmax()],
                "confidence": float(row.max()),
                "probabilities": dict(zip(labels, row.tolist(), strict=True)),
                "needs_review": bool(row.max() < self.review_below),
                "embedding": embedding,
            }
            for row, embedding in zip(softmax(logits), embeddings, strict=True)
        ]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return the answer to each text, as clients get it."""
        answers = self.answer(self.prepare(texts))
        return [{key: answer[key] for key in answer if key != "embedding"} for answer in answers]

    @property
    def facts(self) -> dict[str, Any]:
        """Return how many classes there are."""
        return {"classes": len(self.manifest.labels)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (rows, classes), float64, each row summing to 1."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
