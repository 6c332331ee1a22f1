"""Finds texts that nearly repeat one of another split and would make the test set too easy."""

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from datasketch import MinHash

SHINGLE = 5  # characters
BANDS, ROWS = 16, 4  # finds 99.98% of the pairs with a similarity of 0.8, 89% of those with 0.6
MARGIN = 0.25  # four standard errors of the estimate
MAX_PARTNERS = 100  # compared per band; a text with more shares other bands with them, too
PART = 100_000  # pairs compared at a time
MIX = np.uint64(0x9E3779B97F4A7C15)


class Signed(NamedTuple):
    """Texts and their MinHash signatures, uint32 (texts, BANDS * ROWS)."""

    texts: Sequence[str]
    signatures: np.ndarray


def sign(texts: Sequence[str]) -> Signed:
    """Return the texts with signatures of their shingles.

    Case, punctuation and spacing do not count. The share of equal places in two signatures
    estimates the Jaccard similarity of the shingles (Broder 1997), with a standard error of 0.06.
    """
    shingles = map(_shingles, texts)
    hashes = MinHash.generator(shingles, num_perm=BANDS * ROWS, hashfunc=zlib.crc32)
    rows = np.fromiter((each.hashvalues for each in hashes), dtype=(np.uint32, BANDS * ROWS))
    return Signed(texts, rows.reshape(-1, BANDS * ROWS))


def repeats(ours: Signed, theirs: Signed | None, similarity: float) -> np.ndarray:
    """Return for each of our texts whether one of theirs is that similar: bool (ours,).

    Without `theirs`, each of ours is compared with the earlier ones. Only texts whose signatures
    agree in a whole band are compared (locality-sensitive hashing, Indyk and Motwani 1998), which
    keeps time and memory linear: first by signature, then by the shingles themselves.
    """
    is_within = theirs is None
    theirs = theirs or ours
    found = np.zeros(len(ours.texts), dtype=bool)
    for band in range(BANDS if len(theirs.texts) else 0):
        their_keys = _keys(theirs.signatures, band)
        order = np.argsort(their_keys, kind="stable")
        our_keys = _keys(ours.signatures, band)
        starts, ends = (
            np.searchsorted(their_keys, our_keys, side, sorter=order) for side in ("left", "right")
        )
        partners = np.minimum(ends - starts, MAX_PARTNERS)
        for place in range(partners.max(initial=0)):
            rows = np.flatnonzero((place < partners) & ~found)
            for part in np.array_split(rows, len(rows) // PART + 1):
                others = order[starts[part] + place]
                if is_within:
                    part, others = part[others < part], others[others < part]
                for row, other in _likely(ours, theirs, part, others, band, similarity - MARGIN):
                    found[row] |= jaccard(ours.texts[row], theirs.texts[other]) >= similarity
    return found


def jaccard(one: str, other: str) -> float:
    """Return the Jaccard similarity of the shingles of two texts."""
    ours, theirs = _shingles(one), _shingles(other)
    return len(ours & theirs) / len(ours | theirs)


def _likely(
    ours: Signed, theirs: Signed, rows: np.ndarray, others: np.ndarray, band: int, least: float
) -> Iterator[tuple[int, int]]:
    """Yield the pairs that agree enough, and that no earlier band has yielded."""
    agree = ours.signatures[rows] == theirs.signatures[others]
    is_first = agree.reshape(-1, BANDS, ROWS).all(axis=2).argmax(axis=1) == band
    for pair in np.flatnonzero(is_first & (agree.mean(axis=1) >= least)):
        yield int(rows[pair]), int(others[pair])


def _shingles(text: str) -> set[bytes]:
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    starts = range(max(1, len(plain) - SHINGLE + 1))
    return {plain[start : start + SHINGLE].encode() for start in starts}


def _keys(signatures: np.ndarray, band: int) -> np.ndarray:
    """Return one number per signature for its values in a band, uint64 (rows,)."""
    values = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
    halves = values.view(np.uint64)  # (rows, 2)
    return halves[:, 0] * MIX + halves[:, 1]
