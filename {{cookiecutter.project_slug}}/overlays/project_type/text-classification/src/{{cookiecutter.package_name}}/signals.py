"""What is measured of a text and its label, so `monitor` can tell whether texts have changed."""

import json
import re
from collections import Counter
from typing import Any

import numpy as np

from portfolio_kit.project import Observation

from .predictor import Ids, Predictor

VOCABULARY = "vocabulary.json"
MAX_WORDS = 50_000  # the most frequent
MAX_EMBEDDED = 1_000  # training texts whose embeddings are averaged
WORD = re.compile(r"\w+")


class Signals:
    """Compares texts with the training set's vocabulary and the centroid of its embeddings."""

    def __init__(self, predictor: Predictor) -> None:
        known = json.loads((predictor.folder / VOCABULARY).read_text(encoding="utf-8"))
        self._vocabulary, self._centroid = set(known["vocabulary"]), np.array(known["centroid"])

    def __call__(self, text: str, answer: dict[str, Any]) -> Observation:
        """Return text, label and signals; `distance` is one minus the cosine to the centroid."""
        words, label = words_of(text), answer["label"]
        unknown = sum(word not in self._vocabulary for word in words)
        distance = 1 - answer["embedding"].astype(float) @ self._centroid
        signals = {
            "words": len(words),
            "unknown_words": round(unknown / max(1, len(words)), 4),
            "distance": round(float(distance), 4),
            "confidence": round(answer["confidence"], 4),
            "label": label,
        }
        return Observation(text, {"label": label}, signals)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return WORD.findall(text.casefold())


def write_vocabulary(predictor: Predictor, texts: list[str], ids: list[Ids]) -> None:
    """Write the words of training texts, and the centroid of their embeddings, to the model."""
    some = np.linspace(0, len(ids) - 1, min(len(ids), MAX_EMBEDDED)).astype(int)
    _, embeddings = predictor.compute([ids[row] for row in some])
    counts = Counter(word for text in texts for word in words_of(text))
    centroid = embeddings.mean(axis=0, dtype=float)
    centroid /= np.linalg.norm(centroid)
    known = {
        "vocabulary": sorted(word for word, _ in counts.most_common(MAX_WORDS)),
        "centroid": [round(float(value), 6) for value in centroid],
    }
    (predictor.folder / VOCABULARY).write_text(json.dumps(known), encoding="utf-8", newline="\n")
