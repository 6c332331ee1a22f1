"""The exported model, loaded: what evaluation scores is this, and what the API serves is this."""

from pathlib import Path
from typing import Any

import numpy as np

from ..params import Serving
from ..text import bucket, encode, load_tokenizer, pad
from .exported import Exported

MAX_COST = 256  # tokens answered together: more would hold up the next batch, and gain little
BATCH_SIZE = 32
Ids = list[int]  # of the tokens of a text


class Predictor(Exported):
    """Texts in, labels with probabilities out."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        self._tokenizer = load_tokenizer(folder / "tokenizer.json", manifest["max_tokens"])
        self._review_below = settings.review_below
        self._hidden = self._session.get_outputs()[1].shape[1]
        self.labels: list[str] = manifest["labels"]

    def warm_up(self) -> None:
        """Answer once."""
        self.predict(["warm up"])

    @property
    def review_below(self) -> float:
        """Return the confidence below which a person should look."""
        chosen = self.manifest["review"]["threshold"]
        return chosen if self._review_below is None else self._review_below

    def prepare(self, texts: list[str]) -> list[Ids]:
        """Return what the model takes for each text; its length is what answering it costs."""
        return encode(self._tokenizer, texts)

    def compute(self, ids: list[Ids]) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, float32 (texts, classes), and unit vectors, float32 (texts, hidden)."""
        logits = np.empty((len(ids), len(self.labels)), dtype=np.float32)
        embeddings = np.empty((len(ids), self._hidden), dtype=np.float32)
        for batch in bucket(np.array([len(row) for row in ids]), BATCH_SIZE):
            input_ids, attention_mask = pad([ids[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            logits[batch], embeddings[batch] = self._session.run(["logits", "embeddings"], feed)
        return logits, embeddings

    def logits(self, ids: list[Ids]) -> np.ndarray:
        """Return one row of scores a text, float32 (texts, classes)."""
        return self.compute(ids)[0]

    def probabilities(self, ids: list[Ids]) -> np.ndarray:
        """Return one distribution a text, float64 (texts, classes), each row summing to 1."""
        return softmax(self.logits(ids))

    def answer(self, ids: list[Ids]) -> list[dict[str, Any]]:
        """Return what to say of each text."""
        return self.describe(*self.compute(ids))

    def describe(self, logits: np.ndarray, embeddings: np.ndarray) -> list[dict[str, Any]]:
        """Return label, confidence, probabilities by label and needs_review for each text, and its
        embedding, which no client gets: `monitor` compares it with those of training.
        """
        return [
            {
                "label": self.labels[row.argmax()],
                "confidence": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
                "needs_review": bool(row.max() < self.review_below),
                "embedding": embedding,
            }
            for row, embedding in zip(softmax(logits), embeddings, strict=True)
        ]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return the answer to each text, as clients get it."""
        answers = self.answer(self.prepare(texts))
        for answer in answers:
            del answer["embedding"]
        return answers


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (rows, classes), float64, each row summing to 1."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
