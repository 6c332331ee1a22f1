"""Embeds a corpus, part by part, each on disk before the next begins.

So memory does not grow with the corpus, and a killed run resumes after the last part.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import artifacts
from .documents import Document, Documents
from .vectors import OFFSETS, VECTORS, Embed

CACHE = Path(".cache/index")
PART = 512  # documents embedded together, sorted by length


def embed_corpus(documents: Documents, embed: Embed, dimensions: int, *identity: str) -> Path:
    """Return a folder with `vectors.npy` and `passages.npy`, resumed if a run was killed.

    identity: all that the vectors depend on. The folder is named after it.
    """
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    cache = CACHE / digest[:12]
    if (cache / OFFSETS).exists():  # it is written last
        return cache
    for other in CACHE.glob("*"):
        if other != cache:
            shutil.rmtree(other)
    cache.mkdir(parents=True, exist_ok=True)
    raw, counts = cache / "vectors.raw", cache / "counts.raw"
    # A part's counts are written after its vectors, so only whole parts count.
    done = np.fromfile(counts, dtype=np.int64) if counts.exists() else np.empty(0, dtype=np.int64)
    size = 2 * dimensions  # bytes of a vector, float16
    with raw.open("ab") as vector_file, counts.open("ab") as count_file:
        vector_file.truncate(int(done.sum()) * size)
        count_file.truncate(8 * len(done))
        total = len(documents)
        with tqdm(total=total, initial=len(done), desc="embedding", unit=" documents") as progress:
            for part in parts(documents, len(done)):
                found = embed(part)
                vector_file.write(np.concatenate(found).astype(np.float16).tobytes())
                vector_file.flush()
                count_file.write(np.array([len(one) for one in found], dtype=np.int64).tobytes())
                count_file.flush()
                progress.update(len(part))
    passages = np.memmap(raw, dtype=np.float16, mode="r").reshape(-1, dimensions)
    artifacts.write_atomic(cache / VECTORS, partial(save, passages))
    offsets = np.concatenate([[0], np.cumsum(np.fromfile(counts, dtype=np.int64))])
    artifacts.write_atomic(cache / OFFSETS, partial(save, offsets))
    return cache


def parts(documents: Documents, start: int) -> Iterator[list[Document]]:
    """Yield lists of at most `PART` documents, from a row on."""
    rest = documents.from_row(start)
    while part := list(islice(rest, PART)):
        yield part


def save(array: np.ndarray, path: Path) -> None:
    """Write an array under exactly this name."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
