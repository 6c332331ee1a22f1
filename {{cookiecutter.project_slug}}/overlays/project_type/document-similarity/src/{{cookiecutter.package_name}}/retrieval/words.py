"""Search by words: BM25 over the stored documents, and its weights for documents added since."""

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

FILES = [
    "data.csc.index.npy",
    "indices.csc.index.npy",
    "indptr.csc.index.npy",
    "params.index.json",
    "vocab.index.json",
    "words.json",
]
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
    """Texts to words as BM25 counts them: lower case, without stop words and endings."""

    def __init__(self, language: str | None) -> None:
        self._stop_words = frozenset(STOP_WORDS[language] if language else ())
        self._stemmer = Stemmer.Stemmer(language) if language else None
        self._lock = threading.Lock()  # a stemmer serves one thread at a time

    def split(self, text: str) -> list[str]:
        """Return the stems of a text's words, in their order."""
        return self._stems(self._words(text.casefold()))

    def matching(self, query: str, text: str) -> list[str]:
        """Return the words of a text, as they stand there, that the query has too in some form."""
        wanted = set(self.split(query))
        words = sorted(set(WORD.findall(text)))
        stems = self._stems([word.casefold() for word in words])
        return [word for word, stem in zip(words, stems, strict=True) if stem in wanted]

    def _words(self, text: str) -> list[str]:
        return [word for word in WORD.findall(text) if word not in self._stop_words]

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

    def search(self, stems: list[str], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and the scores of the best documents, at most `count`, best first.

        A document without any of the words is not among them.
        """
        known = self._index.get_tokens_ids(stems)
        if not known:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        return best(self._index.get_scores_from_ids(known), count, above=0.0)

    def weigh(self, text: str) -> dict[str, float]:
        """Return what each stem of a document adds to its score for a query that has the word.

        Robertson and Zaragoza (2009), in Lucene's form; how rare a word is and how long documents
        are is taken from the stored ones, so that the scores of both kinds compare.
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
    """Index the documents' texts, in their order, into a new folder."""
    tokens = Tokens(language)
    vocabulary = {"": 0}  # bm25s needs a word, and there may be none
    documents: list[list[int]] = []
    for text in texts:
        documents.append([vocabulary.setdefault(w, len(vocabulary)) for w in tokens.split(text)])
    index = bm25s.BM25(method="lucene")
    with np.errstate(invalid="ignore"):  # of lengths and their mean, if all are 0
        index.index((documents, vocabulary), show_progress=False)
    index.save(folder, show_progress=False)
    mean_length = sum(map(len, documents)) / len(documents) or 1.0
    facts = json.dumps({"language": language, "mean_length": mean_length})
    (folder / "words.json").write_text(facts, encoding="utf-8")


def best(scores: np.ndarray, count: int, above: float = -np.inf) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and the values of the highest scores, highest first, then by place."""
    places = np.flatnonzero(scores > above)
    if len(places) > count:
        # All that reach the last one's score, so that among equals the place decides.
        least = np.partition(scores[places], -count)[-count]
        places = places[scores[places] >= least]
    order = np.lexsort((places, -scores[places]))[:count]
    return places[order], scores[places[order]]
