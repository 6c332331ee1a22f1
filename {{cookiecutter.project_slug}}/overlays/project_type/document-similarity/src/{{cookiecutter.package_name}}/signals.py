"""What is measured of a query and its results, so `monitor` can tell whether queries change."""

from typing import Any

from portfolio_kit.project import Observation

from .predictor import KEPT, Predictor


class Signals:
    """Compares queries with the documents' words, and tells how near the nearest document is."""

    def __init__(self, predictor: Predictor) -> None:
        self._collection = predictor.collection

    def __call__(self, query: str, results: list[dict[str, Any]]) -> Observation:
        """Return the ids found, and as signals: the retrieval mode, length in words (without stop
        words), share of words that no document has, score of the first result and its lead over the
        last, share of words that the first result has.
        """
        words = self._collection.words
        stems = words.tokens.split(query)
        unknown = sum(stem not in words.vocabulary for stem in stems)
        shared = set(words.tokens.split(" ".join(results[0]["matched"]))) if results else set()
        scores = [result["score"] for result in results[:KEPT]] or [0.0]
        return Observation(
            input=query,
            answer={"ids": [result["id"] for result in results[:KEPT]]},
            signals={
                "mode": self._collection.mode,  # compared with reference rows of the same mode
                "words": len(stems),
                "unknown_words": round(unknown / max(1, len(stems)), 4),
                "best_score": round(float(scores[0]), 4),
                "lead": round(float(scores[0] - scores[-1]), 4),
                "shared_words": round(len(shared) / max(1, len(set(stems))), 4),
            },
        )
