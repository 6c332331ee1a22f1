"""Documents cut into passages: no token is lost or doubled, and each has the title."""

import itertools
import re

import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.passages import Splitter
from portfolio_kit.text.tokens import encode, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer that knows the documents' words and cuts texts to 32 tokens."""
    written = " ".join(f"{one['title']}. {one['text']}" for one in corpus).lower()
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *sorted({*re.findall(r"\w+|[^\w\s]", written)}),
    ]
    made = BertWordPieceTokenizer({word: number for number, word in enumerate(vocabulary)})
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return load_tokenizer(path, max_tokens=32)


@pytest.fixture(scope="module")
def words(corpus):
    """Words that are one token each."""
    return " ".join(one["text"] for one in corpus).lower().replace(",", "").split()


def document(title, text):
    return Document("id", title, text)


def ids_of(tokenizer, text):
    return [tokenizer.token_to_id(word) for word in text.split()]


@pytest.mark.parametrize("size", [16, 32, 33, 64])
@pytest.mark.parametrize("overlap", [0, 1, 8])
@pytest.mark.parametrize("title", ["", "sharp knives", "roses and moths " * 6])
def test_passages_cover_a_text_overlap_and_fit(title, overlap, size, tokenizer):
    first, last = (tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
    titles = encode(tokenizer, [f"{title}."])[0][1:-1] if title else []
    head = [first, *titles[: size // 4]]
    room = size - len(head) - 1
    splitter = Splitter(tokenizer, size, overlap)
    cases = {room, 2 * room - overlap, 3 * room - 2 * overlap}  # where one more passage begins
    for length in sorted({0, 1, 257} | {case + more for case in cases for more in (-1, 0, 1)}):
        text = " ".join(["tap", "bread", "roses", "cat", "snow"][n % 5] for n in range(length))
        [passages] = splitter.split([document(title, text)])
        assert all(len(ids) <= size for ids in passages)
        assert all(ids[: len(head)] == head and ids[-1] == last for ids in passages)
        windows = [ids[len(head) : -1] for ids in passages]
        together = list(windows[0])
        for before, window in itertools.pairwise(windows):
            assert len(before) == room  # all but the last are full
            assert window[:overlap] == before[room - overlap :]
            assert len(window) > overlap  # and has something new
            together += window[overlap:]
        assert together == ids_of(tokenizer, text)


def test_a_documents_passages_do_not_depend_on_other_documents(tokenizer, words):
    random = np.random.default_rng(3)
    documents = [
        document(*(" ".join(random.choice(words, n)) for n in (3, random.integers(0, 90))))
        for _ in range(40)
    ]
    splitter = Splitter(tokenizer, 32, 8)
    together = splitter.split(documents)
    assert together == [splitter.split([one])[0] for one in documents]
    assert splitter.split([]) == []


def test_a_splitter_leaves_the_tokenizer_as_it_is(tokenizer):
    text = "tap " * 100
    Splitter(tokenizer, 64, 8).split([document("", text)])
    assert len(encode(tokenizer, [text])[0]) == 32


def test_a_title_alone_is_a_passage(tokenizer):
    [[passage]] = Splitter(tokenizer, 32, 8).split([document("sharp knives", "")])
    assert passage == [2, *ids_of(tokenizer, "sharp knives ."), 3]
