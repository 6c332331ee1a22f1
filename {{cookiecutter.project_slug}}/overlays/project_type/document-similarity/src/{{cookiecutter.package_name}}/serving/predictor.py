"""The exported model with its documents: what evaluation scores, and what the API serves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..params import Serving
from ..retrieval.collection import Collection, Hit
from ..retrieval.documents import searchable
from ..retrieval.passages import Ids
from .embedder import Embedder

MAX_COST = 256  # tokens answered together: more would hold up the next batch, and gain little
DEFAULT_K = 10
KEPT = 10  # results that are measured and logged, however few are asked for


@dataclass(frozen=True)
class Question:
    """A query, or a document to find the likes of; its length is what preparing it costs."""

    text: str
    k: int
    document_id: str | None = None

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Item:
    """A question, or a passage of a document that is to be stored, and its tokens."""

    ids: Ids
    question: Question | None = None

    def __len__(self) -> int:
        return len(self.ids)


class Predictor(Embedder):
    """Queries in, documents out."""

    def __init__(self, folder: Path, manifest: dict[str, Any], settings: Serving) -> None:
        super().__init__(folder, manifest, settings)
        self.collection = Collection(folder, manifest, settings, self.embed_documents)

    def warm_up(self) -> None:
        """Search once."""
        self.predict(["warm up"])

    def prepare(self, inputs: list[Question | Item]) -> list[Item]:
        """Return what each question takes to be answered; a passage comes as an item already."""
        questions = [one for one in inputs if isinstance(one, Question)]
        ids = iter(self.tokens([question.text for question in questions]))
        items = []
        for one in inputs:
            if isinstance(one, Question):
                tokens = next(ids)
                # The vectors of a document are stored: there is nothing to embed.
                one = Item([] if one.document_id is not None else tokens, one)
            items.append(one)
        return items

    def answer(self, items: list[Item]) -> list[Any]:
        """Return the results of each question (None: no such document), and each passage's vector.

        A result is a dictionary: score, the document's id, title, text and metadata, and matched,
        the words of it that the query has too. There are `k` of them; or `KEPT` if a query asked
        for fewer, those beyond `k` without matched.
        """
        by_words = self.collection.mode == "bm25"  # then only passages need a vector
        rows = [
            row
            for row, item in enumerate(items)
            if item.ids and not (by_words and item.question is not None)
        ]
        vectors = dict(zip(rows, self.embed([items[row].ids for row in rows]), strict=True))
        return [
            vectors[row] if item.question is None else self._find(item.question, vectors.get(row))
            for row, item in enumerate(items)
        ]

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return the answer to each query."""
        questions: list[Question | Item] = [Question(text, DEFAULT_K) for text in texts]
        return [{"results": results} for results in self.answer(self.prepare(questions))]

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
