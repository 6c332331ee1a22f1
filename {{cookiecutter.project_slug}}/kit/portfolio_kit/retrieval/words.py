"""Search by words: BM25 over the stored documents, and its weights for documents added later."""

import json
import math
import re
import threading
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

import bm25s
import numpy as np
import Stemmer  # type: ignore[import-not-found]
from bm25s import stopwords

from .ranking import NOTHING, Ranking, best

WORD = re.compile(r"\w+")
STOP_WORDS = {
    "dutch": stopwords.STOPWORDS_DUTCH,
    "english": stopwords.STOPWORDS_EN_PLUS,
    "french": stopwords.STOPWORDS_FRENCH,
    "german": stopwords.STOPWORDS_GERMAN,
    "italian": stopwords.STOPWORDS_ITALIAN,
    "norwegian": stopwords.STOPWORDS_NORWEGIAN,
    "portuguese": stopwords.STOPWORDS_PORTUGUESE,
    "russian": stopwords.STOPWORDS_RUSSIAN,
    "spanish": stopwords.STOPWORDS_SPANISH,
    "swedish": stopwords.STOPWORDS_SWEDISH,
    "turkish": stopwords.STOPWORDS_TURKISH,
}


class Tokens:
    """Splits texts into words as BM25 counts them: lower case, no stop words, no endings."""

    def __init__(self, language: str | None) -> None:
        self._stop_words = frozenset(STOP_WORDS[language] if language else ())
        self._stemmer = Stemmer.Stemmer(language) if language else None
        self._lock = threading.Lock()  # a stemmer serves one thread at a time

    def split(self, text: str) -> list[str]:
        """Return the stems of a text's words, in order."""
        words = WORD.findall(text.casefold())
        return self._stems([word for word in words if word not in self._stop_words])

    def matching(self, query: str, text: str) -> list[str]:
        """Return the words of a text, as written there, that the query has in some form."""
        wanted = set(self.split(query))
        words = sorted(set(WORD.findall(text)))
        stems = self._stems([word.casefold() for word in words])
        return [word for word, stem in zip(words, stems, strict=True) if stem in wanted]

    def _stems(self, words: list[str]) -> list[str]:
        if self._stemmer is None:
            return words
        with self._lock:
            return self._stemmer.stemWords(words)


class Words:
    """BM25 scores of the stored documents, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self.tokens = Tokens(facts["language"])
        self._mean_length: float = facts["mean_length"]
        self._index = bm25s.BM25.load(folder, mmap=True)
        self._documents = int(self._index.scores["num_docs"])

    @property
    def vocabulary(self) -> Container[str]:
        """Return the stems of the stored documents."""
        return self._index.vocab_dict

    def search(self, stems: list[str], count: int) -> Ranking:
        """Return the rows of at most `count` documents that have one of the words."""
        known = self._index.get_tokens_ids(stems)
        return best(self._index.get_scores_from_ids(known), count, above=0.0) if known else NOTHING

    def weigh(self, text: str) -> dict[str, float]:
        """Return what each stem of a document adds to its score for a query with that word.

        Robertson and Zaragoza (2009), in Lucene's form. How rare a word is, and how long documents
        are, is taken from the stored documents, so scores of both kinds compare.
        """
        stems = self.tokens.split(text)
        k1, b = self._index.k1, self._index.b
        damping = k1 * (1 - b + b * len(stems) / self._mean_length)
        return {
            stem: self._rarity(stem) * times / (times + damping)
            for stem, times in Counter(stems).items()
        }

    def _rarity(self, stem: str) -> float:
        """Return the inverse document frequency, ln(1 + (N - n + 0.5) / (n + 0.5))."""
        number, bounds = self._index.vocab_dict.get(stem), self._index.scores["indptr"]
        having = 0 if number is None else int(bounds[number + 1] - bounds[number])
        return math.log(1 + (self._documents - having + 0.5) / (having + 0.5))


def write(folder: Path, texts: Iterable[str], language: str | None) -> None:
    """Index the documents' texts, in order, into a new folder."""
    tokens = Tokens(language)
    vocabulary = {"": 0}  # bm25s needs at least one word
    documents: list[list[int]] = []
    for text in texts:
        documents.append([vocabulary.setdefault(w, len(vocabulary)) for w in tokens.split(text)])
    index = bm25s.BM25(method="lucene")
    with np.errstate(invalid="ignore"):  # a mean length of 0, if no document has a word
        index.index((documents, vocabulary), show_progress=False)
    index.save(folder, show_progress=False)
    mean_length = sum(map(len, documents)) / len(documents) or 1.0
    facts = json.dumps({"language": language, "mean_length": mean_length})
    (folder / "words.json").write_text(facts, encoding="utf-8")
