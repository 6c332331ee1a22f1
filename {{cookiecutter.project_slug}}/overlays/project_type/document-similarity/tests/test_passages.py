"""Documents to passages: no token is lost, none is too many, and the title goes with each."""

import itertools

import numpy as np
import pytest

from {{cookiecutter.package_name}}.retrieval.passages import Splitter
from {{cookiecutter.package_name}}.text import encode, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone):
    """The tiny encoder's tokenizer, which cuts off what is longer than 32 tokens."""
    return load_tokenizer(tiny_backbone / "tokenizer.json", max_tokens=32)


@pytest.fixture(scope="module")
def words(corpus):
    """Words that are a token each."""
    return " ".join(one["text"] for one in corpus).lower().replace(",", "").split()


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
    cases = {room, 2 * room - overlap, 3 * room - 2 * overlap}  # where one passage becomes two
    for length in sorted({0, 1, 257} | {case + more for case in cases for more in (-1, 0, 1)}):
        text = " ".join(["tap", "bread", "roses", "cat", "snow"][n % 5] for n in range(length))
        [passages] = splitter.split([(title, text)])
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


def test_each_documents_passages_are_its_own(tokenizer, words):
    random = np.random.default_rng(3)
    documents = [
        (" ".join(random.choice(words, 3)), " ".join(random.choice(words, random.integers(0, 90))))
        for _ in range(40)
    ]
    splitter = Splitter(tokenizer, 32, 8)
    together = splitter.split(documents)
    assert together == [splitter.split([document])[0] for document in documents]
    assert splitter.split([]) == []


def test_a_splitter_leaves_the_tokenizer_as_it_is(tokenizer):
    text = "tap " * 100
    Splitter(tokenizer, 64, 8).split([("", text)])
    assert len(encode(tokenizer, [text])[0]) == 32


def test_a_title_alone_is_a_passage(tokenizer):
    [[passage]] = Splitter(tokenizer, 32, 8).split([("sharp knives", "")])
    assert passage == [2, *ids_of(tokenizer, "sharp knives ."), 3]
