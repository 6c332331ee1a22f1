"""Makes one ranking of several."""

from collections.abc import Iterable

import numpy as np

SMOOTHING = 60  # the constant of the paper


def reciprocal_rank(rankings: Iterable[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return documents and scores, best first: the sum of 1 / (60 + rank) over the rankings.

    Each ranking holds documents' numbers, best first (Cormack, Clarke and Buettcher 2009).
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking.tolist(), start=1):
            scores[document] = scores.get(document, 0.0) + 1 / (SMOOTHING + rank)
    fused = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:count]
    documents = np.array([document for document, _ in fused], dtype=np.int64)
    return documents, np.array([score for _, score in fused], dtype=np.float32)
