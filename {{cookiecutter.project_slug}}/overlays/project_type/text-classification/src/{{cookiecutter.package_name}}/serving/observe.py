"""What is kept of a text and its label, so that `monitor` can tell whether texts have changed."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .prediction_log import Observation
from .predictor import Predictor

FAMILIAR = "familiar.json"
MAX_WORDS = 50_000  # the most frequent
WORD = re.compile(r"\w+")


class Observer:
    """Measures texts by what training has seen: its words, and the middle of its embeddings."""

    def __init__(self, folder: Path) -> None:
        familiar = json.loads((folder / FAMILIAR).read_text(encoding="utf-8"))
        self._words = frozenset(familiar["words"])
        self._center = np.array(familiar["center"])

    def __call__(self, text: str, answer: dict[str, Any]) -> Observation:
        """Return the label, and as signals: length in words, share of words never seen in
        training, cosine distance from its texts, confidence, label.
        """
        words = words_of(text)
        unknown = sum(word not in self._words for word in words)
        embedding = answer["embedding"].astype(float)
        return Observation(
            input=text,
            answer={"label": answer["label"]},
            signals={
                "words": len(words),
                "unknown_words": round(unknown / max(1, len(words)), 4),
                "distance": round(float(1 - embedding @ self._center), 4),
                "confidence": round(answer["confidence"], 4),
                "label": answer["label"],
            },
        )


def observer(predictor: Predictor, folder: Path) -> Observer:
    """Return what measures the answers of a model, by what lies beside it."""
    return Observer(folder)


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return WORD.findall(text.casefold())


def write_familiar(folder: Path, texts: Iterable[str], embeddings: np.ndarray) -> None:
    """Write down the words of training texts, and the middle of embeddings (rows, hidden)."""
    counts = Counter(word for text in texts for word in words_of(text))
    middle = embeddings.mean(axis=0, dtype=float)
    middle /= np.linalg.norm(middle)
    familiar = {
        "words": sorted(word for word, _ in counts.most_common(MAX_WORDS)),
        "center": [round(float(value), 6) for value in middle],
    }
    (folder / FAMILIAR).write_text(json.dumps(familiar), encoding="utf-8", newline="\n")
