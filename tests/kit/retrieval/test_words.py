"""Search by words, compared with a second implementation of BM25's formula."""

import math
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import Stemmer

from portfolio_kit.retrieval import words
from portfolio_kit.retrieval.settings import Language
from portfolio_kit.retrieval.words import STOP_WORDS, Tokens, Words

FOLDER = Path("words")
K1, B = 1.5, 0.75


@pytest.fixture(scope="module")
def texts(corpus):
    """The texts of the documents, and two odd ones: very short, and repetitive."""
    return [
        *(f"{one['title']}\n{one['text']}" for one in corpus),
        "snow",
        "snow snow tap snow " * 9,
    ]


@pytest.fixture
def index(texts):
    """The index of the texts, in English."""
    words.write(FOLDER, texts, "english")
    return Words(FOLDER)


def stems_of(text):
    """Return the stems of an English text."""
    stemmer = Stemmer.Stemmer("english")
    found = re.findall(r"\w+", text.lower())
    return [stemmer.stemWord(word) for word in found if word not in STOP_WORDS["english"]]


def bm25(texts, query):
    """Return the score of each text: Robertson and Zaragoza (2009), as Lucene computes it."""
    bags = [Counter(stems_of(text)) for text in texts]
    mean = sum(sum(bag.values()) for bag in bags) / len(bags)
    scores = []
    for bag in bags:
        score = 0.0
        for stem in stems_of(query):
            having = sum(stem in other for other in bags)
            rarity = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
            length = sum(bag.values())
            score += rarity * bag[stem] / (bag[stem] + K1 * (1 - B + B * length / mean))
        scores.append(score)
    return np.array(scores)


def test_scores_are_those_of_the_formula(index, texts, queries):
    for query in [*(one["text"] for one in queries), "snow snow tap"]:
        expected = bm25(texts, query)
        rows, scores = index.search(index.tokens.split(query), len(texts))
        assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())
        np.testing.assert_allclose(scores, expected[rows], rtol=1e-5)
        assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("count", [1, 3, 100])
def test_at_most_count_documents_are_found(count, index, texts):
    stems = index.tokens.split("a wall of water")
    rows, scores = index.search(stems, count)
    all_rows, all_scores = index.search(stems, len(texts))
    assert len(rows) == min(count, len(all_rows))
    np.testing.assert_array_equal(rows, all_rows[:count])
    np.testing.assert_array_equal(scores, all_scores[:count])


@pytest.mark.parametrize("query", ["", "of the and", "xylophone", "!? …", "Xylophones of the 水"])
def test_a_query_without_known_words_finds_nothing(query, index):
    rows, scores = index.search(index.tokens.split(query), 10)
    assert rows.tolist() == scores.tolist() == []


def test_unknown_words_change_nothing(index):
    known, mixed = (index.search(index.tokens.split(q), 9) for q in ("taps", "xylophone taps"))
    np.testing.assert_array_equal(known, mixed)


def test_a_texts_weights_add_up_to_the_score_it_has_in_the_index(index, texts, queries):
    asked = [index.tokens.split(query["text"]) for query in queries]
    for row, text in enumerate(texts):
        weights = index.weigh(text)
        for stems in asked:
            rows, scores = index.search(stems, len(texts))
            expected = dict(zip(rows.tolist(), scores.tolist(), strict=True)).get(row, 0.0)
            found = sum(weights.get(stem, 0.0) for stem in stems)
            assert found == pytest.approx(expected, rel=1e-5)


def test_a_new_word_weighs_as_much_as_the_rarest(index, texts):
    weights = index.weigh("xylophone tap")
    rarity = math.log(1 + (len(texts) + 0.5) / 0.5)
    mean = sum(len(stems_of(text)) for text in texts) / len(texts)
    assert weights["xylophon"] == pytest.approx(rarity / (1 + K1 * (1 - B + B * 2 / mean)))
    assert weights["xylophon"] > weights["tap"]


@pytest.mark.parametrize(
    ("language", "text", "stems"),
    [
        ("english", "The Taps were dripping, and dripped!", ["tap", "drip", "drip"]),
        ("german", "Die Häuser und das Haus", ["haus", "haus"]),
        ("french", "les chevaux du roi", ["cheval", "roi"]),
        (None, "The Taps were DRIPPING", ["the", "taps", "were", "dripping"]),
        (None, "Straße_7 水が漏れる x-y", ["strasse_7", "水が漏れる", "x", "y"]),
        ("english", "", []),
    ],
)
def test_texts_are_split_into_stems_without_stop_words(language, text, stems):
    assert Tokens(language).split(text) == stems


@pytest.mark.parametrize("language", Language.__args__)
def test_every_language_has_stop_words_and_a_stemmer(language):
    tokens = Tokens(language)
    some = sorted(STOP_WORDS[language])[:20]
    assert tokens.split(" ".join(some)) == []
    assert tokens.split("zzyzx") != []


def test_without_a_language_words_are_taken_as_they_are(texts):
    words.write(FOLDER, texts, None)
    index = Words(FOLDER)
    drips = index.search(index.tokens.split("drips"), 9)[0].tolist()
    assert drips == [row for row, text in enumerate(texts) if "drips" in text.lower()]
    assert index.search(index.tokens.split("dripping the"), 99)[0][0] == 0


@pytest.mark.parametrize(
    ("query", "text", "matching"),
    [
        ("my tap drips", "Dripping taps: a TAP drips.", ["Dripping", "TAP", "drips", "taps"]),
        ("the water", "The tap is in the wall", []),
        ("water", "", []),
        ("", "water", []),
        ("Wasser", "wasser WASSER Wassers", ["WASSER", "Wassers", "wasser"]),
    ],
)
def test_matching_words_are_returned_as_the_text_has_them(query, text, matching):
    assert sorted(Tokens("english").matching(query, text)) == matching


def test_documents_without_any_word_are_indexed_and_never_found():
    words.write(FOLDER, ["", "the of", "snow"], "english")
    index = Words(FOLDER)
    assert index.search(["snow"], 9)[0].tolist() == [2]
    words.write(Path("nothing"), ["", "the of"], "english")
    nothing = Words(Path("nothing"))
    assert nothing.search(nothing.tokens.split("snow"), 9)[0].tolist() == []
    assert set(nothing.weigh("snow")) == {"snow"}


def test_several_threads_may_search(index, queries):
    together = threading.Barrier(6)
    alone = [index.search(index.tokens.split(query["text"]), 5)[0].tolist() for query in queries]

    def search(_):
        together.wait()
        return [index.search(index.tokens.split(one["text"]), 5)[0].tolist() for one in queries]

    with ThreadPoolExecutor(6) as threads:
        assert all(found == alone for found in threads.map(search, range(6)))
