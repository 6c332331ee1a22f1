"""The exported encoder and the documents it searches: evaluation and serving use this class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from portfolio_kit.retrieval import records
from portfolio_kit.retrieval.collection import Collection, Hit
from portfolio_kit.retrieval.documents import Document, searchable
from portfolio_kit.retrieval.passages import Ids, Splitter
from portfolio_kit.retrieval.settings import EncoderName, Mode, Serving
from portfolio_kit.serving.model import OnnxModel
from portfolio_kit.text.tokens import bucket, encode, load_tokenizer, pad

BATCH_SIZE = 32
DEFAULT_K = 10
NOT_SERVED = "not-served"  # in `models/`: the fine-tuned encoder, if it was not chosen
KEPT = 10  # results that are measured and logged, even if fewer are asked for


class Manifest(records.Manifest):
    """The manifest of `models/`."""

    backbone: str
    is_fine_tuned: bool
    # By encoder and retrieval mode; None: no validation queries.
    validation_ndcg_at_10: dict[EncoderName, dict[Mode, float]] | None = None


@dataclass(frozen=True)
class Question:
    """A query, or a document whose neighbours are wanted; its length is the cost of tokenizing."""

    text: str
    k: int = DEFAULT_K
    document_id: str | None = None

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Item:
    """A question and its tokens."""

    question: Question
    ids: Ids

    def __len__(self) -> int:
        return len(self.ids)


class Predictor(OnnxModel[Manifest]):
    """Maps queries to documents, and documents to vectors."""

    manifest_type = Manifest
    max_cost = 256  # tokens

    def __init__(self, folder: Path, manifest: Manifest, settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        size = manifest.max_tokens
        self._tokenizer = load_tokenizer(folder / "tokenizer.json", size)
        self._splitter = Splitter(self._tokenizer, size, manifest.overlap_tokens)
        self._settings = settings
        self.dimensions: int = self._session.get_outputs()[0].shape[1]

    @cached_property
    def collection(self) -> Collection:
        """The documents, opened on first use: export embeds them before there is an index."""
        return Collection(self.folder, self.manifest, self._settings, self.embed_documents)

    def close(self) -> None:
        """Close the file of changes."""
        self.collection.close()

    def warm_up(self) -> None:
        """Search once."""
        self.predict(["warm up"])

    def embed(
        self, ids: list[Ids], advance: Callable[[int], object] = lambda done: None
    ) -> np.ndarray:
        """Return a unit vector per query or passage, float32 (rows, dimensions).

        After each batch `advance` is told how many it had.
        """
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        for batch in bucket(np.array([len(row) for row in ids], dtype=np.int64), BATCH_SIZE):
            input_ids, attention_mask = pad([ids[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            vectors[batch] = self._session.run(["embeddings"], feed)[0]
            advance(len(batch))
        return vectors

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return a unit vector per query, float32 (queries, dimensions); long ones are cut."""
        return self.embed(encode(self._tokenizer, texts))

    def embed_documents(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Return the vectors of each document's passages, float32 (passages, dimensions)."""
        passages = self.split(documents)
        vectors = self.embed([ids for one in passages for ids in one])
        return np.split(vectors, np.cumsum([len(one) for one in passages])[:-1])

    def split(self, documents: Sequence[Document]) -> list[list[Ids]]:
        """Return the tokens of each document's passages."""
        return self._splitter.split(documents)

    def prepare(self, inputs: list[Question | Ids]) -> list[Item | Ids]:
        """Return each question with its tokens; a passage has its tokens already."""
        questions = [one for one in inputs if isinstance(one, Question)]
        ids = iter(encode(self._tokenizer, [one.text for one in questions]))
        return [Item(one, next(ids)) if isinstance(one, Question) else one for one in inputs]

    def answer(self, items: list[Item | Ids]) -> list[Any]:
        """Return each question's results (None: no such document), and each passage's vector.

        A result is a dictionary: score, the document's id, title, text and metadata, and matched,
        its words that the query has as well. There are `k` of them, or `KEPT` if a query asked for
        fewer; those beyond `k` lack matched words.
        """
        ids = [self._to_embed(item) for item in items]
        rows = [row for row, tokens in enumerate(ids) if tokens]
        vectors = dict(zip(rows, self.embed([ids[row] for row in rows]), strict=True))
        return [
            self._find(item.question, vectors.get(row)) if isinstance(item, Item) else vectors[row]
            for row, item in enumerate(items)
        ]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return the answer to each query."""
        found = self.answer(self.prepare([Question(text) for text in texts]))
        return [{"results": results} for results in found]

    def _to_embed(self, item: Item | Ids) -> Ids:
        if not isinstance(item, Item):
            return item
        # A stored document has its vectors, and a search by words needs none.
        is_needless = item.question.document_id is not None or self.collection.mode == "bm25"
        return [] if is_needless else item.ids

    def _find(self, question: Question, vector: np.ndarray | None) -> list[dict[str, Any]] | None:
        if question.document_id is not None:
            hits = self.collection.similar(question.document_id, question.k)
        else:
            hits = self.collection.search(question.text, vector, max(question.k, KEPT))
        if hits is None:
            return None
        return [self._result(question, hit, place < question.k) for place, hit in enumerate(hits)]

    def _result(self, question: Question, hit: Hit, is_shown: bool) -> dict[str, Any]:
        tokens, text = self.collection.words.tokens, searchable(hit.document)
        matched = tokens.matching(question.text, text) if is_shown else []
        return {"score": hit.score, **hit.document._asdict(), "matched": matched}
