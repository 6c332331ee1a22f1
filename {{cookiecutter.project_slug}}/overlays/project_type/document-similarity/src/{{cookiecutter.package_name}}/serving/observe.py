"""What is kept of a query and what it found, so that `monitor` can tell whether queries change."""

from collections.abc import Container
from pathlib import Path
from typing import Any

from ..params import Mode
from ..retrieval.words import Tokens
from .prediction_log import MODE, Observation
from .predictor import KEPT, Predictor


class Observer:
    """Measures queries by the documents' words, and by how near the nearest document is."""

    def __init__(self, mode: Mode, tokens: Tokens, vocabulary: Container[str]) -> None:
        self._mode, self._tokens, self._vocabulary = mode, tokens, vocabulary

    def __call__(self, query: str, results: list[dict[str, Any]]) -> Observation:
        """Return the ids found, and as signals: the way to search, length in words (stop words left
        out), share of words that no document has, score of the first result and its lead over the
        last, words in common with the first.
        """
        stems = self._tokens.split(query)
        unknown = sum(stem not in self._vocabulary for stem in stems)
        shared = set(self._tokens.split(" ".join(results[0]["matched"]))) if results else set()
        scores = [result["score"] for result in results[:KEPT]] or [0.0]
        return Observation(
            input=query,
            answer={"ids": [result["id"] for result in results[:KEPT]]},
            signals={
                MODE: self._mode,
                "words": len(stems),
                "unknown_words": round(unknown / max(1, len(stems)), 4),
                "best_score": round(float(scores[0]), 4),
                "lead": round(float(scores[0] - scores[-1]), 4),
                "shared_words": round(len(shared) / max(1, len(set(stems))), 4),
            },
        )


def observer(predictor: Predictor, folder: Path) -> Observer:
    """Return what measures the answers of a model, by the words of its documents."""
    collection = predictor.collection
    return Observer(collection.mode, collection.words.tokens, collection.words.vocabulary)
