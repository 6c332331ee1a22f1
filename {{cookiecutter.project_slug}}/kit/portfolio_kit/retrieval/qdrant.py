"""An index in a Qdrant server, for vectors that outgrow one machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException
from tqdm import tqdm

from ..errors import UserError
from .vectors import Approximate, Vectors

PART = 256  # points sent at a time
TIMEOUT_SECONDS = 10
QUANTIZATION: dict[str, models.ScalarQuantization | None] = {
    "f16": None,
    "i8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    ),
}


class Qdrant(Approximate):
    """A collection whose points are the passages, by number."""

    def __init__(self, vectors: Vectors, collection: str, url: str) -> None:
        super().__init__(vectors)
        self._client, self._collection, self._url = connect(url), collection, url
        found, wanted = count_points(self._client, collection, url), len(vectors.passages)
        if found != wanted:
            raise UserError(
                f"index.qdrant_url: {url} holds {found:,} of {wanted:,} passages in the collection "
                f"{collection}; run `make train` again"
            )

    def candidates(self, vector: np.ndarray, count: int) -> np.ndarray:
        """Return the passages that the server finds; raises `UserError` if it does not answer."""
        with usable(self._url):
            found = self._client.query_points(self._collection, query=vector.tolist(), limit=count)
        return np.array([point.id for point in found.points], dtype=np.int64)


def write(vectors: Vectors, collection: str, url: str, storage: str) -> None:
    """Send every passage's vector to the server, unless all are there already."""
    client = connect(url)
    if count_points(client, collection, url) == len(vectors.passages):
        return
    with usable(url):
        if not client.collection_exists(collection):
            client.create_collection(
                collection,
                vectors_config=models.VectorParams(
                    size=vectors.passages.shape[1],
                    distance=models.Distance.DOT,
                    datatype=models.Datatype.FLOAT16,
                    on_disk=True,
                ),
                quantization_config=QUANTIZATION[storage],
            )
        starts = range(0, len(vectors.passages), PART)
        for start in tqdm(starts, desc="sending vectors", unit="part"):
            part = vectors.passages[start : start + PART].astype(np.float32)
            numbers: list[models.ExtendedPointId] = [*range(start, start + len(part))]
            client.upsert(collection, models.Batch(ids=numbers, vectors=part.tolist()), wait=True)


def connect(url: str) -> QdrantClient:
    """Return a client of the server; raises `UserError` for an invalid address."""
    with usable(url):
        return QdrantClient(url=url, timeout=TIMEOUT_SECONDS, check_compatibility=False)


def count_points(client: QdrantClient, collection: str, url: str) -> int:
    """Return how many passages the server has in a collection."""
    with usable(url):
        exists = client.collection_exists(collection)
        return client.count(collection, exact=True).count if exists else 0


@contextmanager
def usable(url: str) -> Iterator[None]:
    """Raise `UserError` for whatever keeps the server from answering."""
    try:
        yield
    except (ApiException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"index.qdrant_url: {url} cannot be used: {reason:.200}") from error
