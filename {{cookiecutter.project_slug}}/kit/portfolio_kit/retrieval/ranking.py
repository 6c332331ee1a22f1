"""Rankings: the best of many scores, and a search by meaning fused with one by words."""

import numpy as np

Ranking = tuple[np.ndarray, np.ndarray]  # documents' numbers and their scores, best first
NOTHING: Ranking = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
DENSE = 0.8  # weight of meaning against words, as in the paper
TINY = 1e-9


def best(scores: np.ndarray, count: int, above: float = -np.inf) -> Ranking:
    """Return the places and values of the highest scores, highest first; ties go by place."""
    places = np.flatnonzero(scores > above)
    if len(places) > count:
        # Keep everything that ties with the last one, so its place decides.
        least = np.partition(scores[places], -count)[-count]
        places = places[scores[places] >= least]
    order = np.lexsort((places, -scores[places]))[:count]
    return places[order], scores[places[order]]


def fuse(dense: Ranking, words: Ranking, depth: int) -> Ranking:
    """Return documents by a weighted sum of their scores for meaning and for words, best first.

    dense: at most `depth` cosines; words: as many BM25 scores. Both are scaled to run from 0, the
    lowest possible score (-1 or 0), to 1, the best one of this query (Bruch, Gai and Ingber 2023).
    A document beyond the end of a ranking counts there as its last one, which it cannot exceed.
    """
    numbers = np.union1d(dense[0], words[0])
    total = np.zeros(len(numbers))
    for (found, scores), lowest, weight in ((dense, -1.0, DENSE), (words, 0.0, 1 - DENSE)):
        if not len(found):
            continue
        beyond = scores[-1] if len(found) >= depth else lowest
        known = np.full(len(numbers), beyond, dtype=np.float64)
        known[np.searchsorted(numbers, found)] = scores
        total += weight * (known - lowest) / max(float(scores[0]) - lowest, TINY)
    places, sums = best(total, depth)
    return numbers[places], sums.astype(np.float32)
