"""Rankings: the best of many scores, and several rankings fused into one."""

from collections.abc import Iterable

import numpy as np

Ranking = tuple[np.ndarray, np.ndarray]  # documents' numbers and their scores, best first
NOTHING: Ranking = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
SMOOTHING = 60  # the constant of the paper


def best(scores: np.ndarray, count: int, above: float = -np.inf) -> Ranking:
    """Return the places and values of the highest scores, highest first; ties go by place."""
    places = np.flatnonzero(scores > above)
    if len(places) > count:
        # Keep everything that ties with the last one, so its place decides.
        least = np.partition(scores[places], -count)[-count]
        places = places[scores[places] >= least]
    order = np.lexsort((places, -scores[places]))[:count]
    return places[order], scores[places[order]]


def reciprocal_rank(rankings: Iterable[np.ndarray], count: int) -> Ranking:
    """Return the documents with the highest sum of 1 / (60 + rank) over the rankings.

    Each ranking holds documents' numbers, best first (Cormack, Clarke and Buettcher 2009).
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, document in enumerate(ranking.tolist(), start=1):
            scores[document] = scores.get(document, 0.0) + 1 / (SMOOTHING + rank)
    fused = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:count]
    documents = np.array([document for document, _ in fused], dtype=np.int64)
    return documents, np.array([score for _, score in fused], dtype=np.float32)
