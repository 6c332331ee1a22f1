"""The exported encoder, loaded: texts to vectors, for building the index and for answering."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..params import Serving
from ..retrieval.documents import Document
from ..retrieval.passages import Ids, Splitter
from ..text import bucket, encode, load_tokenizer, pad
from .exported import Exported

BATCH_SIZE = 32


class Embedder(Exported):
    """Texts in, unit vectors out."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        size = manifest["max_tokens"]
        self._tokenizer = load_tokenizer(folder / "tokenizer.json", size)
        self._splitter = Splitter(self._tokenizer, size, manifest["overlap_tokens"])
        self.dimensions: int = self._session.get_outputs()[0].shape[1]

    def warm_up(self) -> None:
        """Embed once."""
        self.embed(self.tokens(["warm up"]))

    def tokens(self, texts: list[str]) -> list[Ids]:
        """Return the tokens of each query; what is too long is cut off."""
        return encode(self._tokenizer, texts)

    def split(self, documents: Sequence[Document]) -> list[list[Ids]]:
        """Return the tokens of each document's passages."""
        return self._splitter.split([(one.title, one.text) for one in documents])

    def embed(self, ids: list[Ids]) -> np.ndarray:
        """Return one unit vector for each query or passage, float32 (rows, dimensions)."""
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        for batch in bucket(np.array([len(row) for row in ids], dtype=np.int64), BATCH_SIZE):
            input_ids, attention_mask = pad([ids[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            vectors[batch] = self._session.run(["embeddings"], feed)[0]
        return vectors

    def embed_documents(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Return the vectors of each document's passages, float32 (passages, dimensions)."""
        passages = self.split(documents)
        vectors = self.embed([ids for one in passages for ids in one])
        return np.split(vectors, np.cumsum([len(one) for one in passages])[:-1])
