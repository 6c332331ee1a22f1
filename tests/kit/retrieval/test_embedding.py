"""Embedding a corpus part by part: a killed run resumes, and ends with the same bytes."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from retrieval import toy

from portfolio_kit.retrieval import documents, embedding
from portfolio_kit.retrieval.documents import Document, Documents


@pytest.fixture
def stored(corpus):
    """Forty documents of several passages each."""
    documents.write(Path("store"), [Document(one["_id"], "", one["text"]) for one in corpus])
    return Documents(Path("store"))


@pytest.fixture
def embed_corpus(stored, monkeypatch):
    """Embed the documents into this folder's cache; return bytes of vectors and of offsets.

    A run dies before the part that `dies_at` names; `asked` holds the sizes of the parts that it
    embedded.
    """
    asked = []

    def embed_corpus(part=512, dies_at=None, model="m1", corpus="c" * 64):
        def embed_or_die(found):
            if len(asked) == dies_at:
                raise InterruptedError
            asked.append(len(found))
            return toy.embed(found)

        asked.clear()
        monkeypatch.setattr(embedding, "PART", part)
        folder = embedding.embed_corpus(stored, embed_or_die, toy.DIMENSIONS, model, corpus)
        return tuple((folder / name).read_bytes() for name in ("vectors.npy", "passages.npy"))

    embed_corpus.asked = asked
    return embed_corpus


def test_vectors_and_offsets_are_those_of_each_document(stored):
    folder = embedding.embed_corpus(stored, toy.embed, toy.DIMENSIONS, "m1")
    vectors, offsets = (np.load(folder / name) for name in ("vectors.npy", "passages.npy"))
    assert vectors.dtype == np.float16
    assert len(offsets) == len(stored) + 1 == 41
    assert len(vectors) == offsets[-1] > 80
    for row, document in enumerate(stored.from_row(0)):
        [expected] = toy.embed([document])
        np.testing.assert_array_equal(vectors[offsets[row] : offsets[row + 1]], expected)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_resumes_after_the_last_part(seed, embed_corpus):
    chance = random.Random(seed)
    part = chance.randint(2, 13)
    whole = embed_corpus(part)
    parts = list(embed_corpus.asked)
    shutil.rmtree(embedding.CACHE)
    done = []
    for dies_at in sorted(chance.sample(range(len(parts)), 2)):
        with pytest.raises(InterruptedError):
            embed_corpus(part, dies_at=dies_at - len(done))
        done += embed_corpus.asked
    assert embed_corpus(part) == whole
    assert [*done, *embed_corpus.asked] == parts
    assert embed_corpus(part) == whole
    assert embed_corpus.asked == [], "all is there already"


@pytest.mark.parametrize(
    ("vectors", "counts"),
    [(b"x" * 37, b""), (b"x" * 640, b""), (b"x" * 640, b"\x03\x00\x00"), (b"", b"\x01")],
    ids=["half a vector", "vectors", "vectors and half a count", "half a count"],
)
def test_a_half_written_part_is_cut_off(vectors, counts, embed_corpus):
    whole = embed_corpus(7)
    shutil.rmtree(embedding.CACHE)
    with pytest.raises(InterruptedError):
        embed_corpus(7, dies_at=3)
    [cache] = embedding.CACHE.iterdir()
    for name, rubbish in (("vectors.raw", vectors), ("counts.raw", counts)):
        with (cache / name).open("ab") as file:
            file.write(rubbish)
    assert embed_corpus(7) == whole
    assert embed_corpus.asked == [7, 7, 5]


@pytest.mark.parametrize("other", [{"model": "another"}, {"corpus": "d" * 64}], ids=str)
def test_parts_of_another_model_or_corpus_are_not_reused(other, embed_corpus):
    whole = embed_corpus(7)
    with pytest.raises(InterruptedError):
        embed_corpus(7, dies_at=2, **other)
    assert embed_corpus(7) == whole
    assert embed_corpus.asked == [7, 7, 7, 7, 7, 5]
    assert len(list(embedding.CACHE.iterdir())) == 1


def test_memory_does_not_grow_with_the_corpus(peak_memory):
    def embed(found):
        return [np.ones((4, 256), dtype=np.float32) for _ in found]

    def peak(count):
        store = Path(f"store-{count}")
        documents.write(store, (Document(str(n), "", f"text {n} " * 50) for n in range(count)))
        return peak_memory(embedding.embed_corpus, Documents(store), embed, 256, str(count))

    peak(600)  # what is loaded on first use
    assert peak(12_000) < 1.3 * peak(3_000) + 2_000_000
