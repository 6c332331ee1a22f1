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
    embedded, in passages.
    """
    asked = []

    def embed_corpus(part=1024, dies_at=None, model="m1", corpus="c" * 64):
        class Mortal(toy.Embedder):
            def embed(self, ids, advance):
                if len(asked) == dies_at:
                    raise InterruptedError
                asked.append(len(ids))
                return super().embed(ids, advance)

        asked.clear()
        monkeypatch.setattr(embedding, "PART", part)
        folder = embedding.embed_corpus(stored, Mortal(), model, corpus)
        return tuple((folder / name).read_bytes() for name in ("vectors.npy", "passages.npy"))

    embed_corpus.asked = asked
    return embed_corpus


def test_vectors_and_offsets_are_those_of_each_document(stored):
    folder = embedding.embed_corpus(stored, toy.Embedder(), "m1")
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
    part = chance.randint(2, 30)
    whole = embed_corpus(part)
    parts = list(embed_corpus.asked)
    assert all(size <= max(part, 5) for size in parts)
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


@pytest.mark.parametrize("rubbish", [b"", b"x" * 37, b"x" * 24 * 30], ids=["none", "half", "many"])
def test_a_half_written_part_is_cut_off(rubbish, embed_corpus):
    whole = embed_corpus(20)
    parts = list(embed_corpus.asked)
    shutil.rmtree(embedding.CACHE)
    with pytest.raises(InterruptedError):
        embed_corpus(20, dies_at=2)
    [file] = embedding.CACHE.glob("*/*.partial")
    # As much of the next part as fits in front of its end.
    with file.open("ab") as appended:
        appended.write(rubbish[: 24 * (parts[2] - 1)])
    assert embed_corpus(20) == whole
    assert embed_corpus.asked == parts[2:]


@pytest.mark.parametrize("size", [0, 5, 128, 140], ids=str)
def test_a_run_that_was_killed_before_its_first_part_begins_again(size, embed_corpus):
    whole = embed_corpus(20)
    shutil.rmtree(embedding.CACHE)
    with pytest.raises(InterruptedError):
        embed_corpus(20, dies_at=0)
    [file] = embedding.CACHE.glob("*/*.partial")
    with file.open("r+b") as cut:
        cut.truncate(size)
    assert embed_corpus(20) == whole


@pytest.mark.parametrize("other", [{"model": "another"}, {"corpus": "d" * 64}], ids=str)
def test_parts_of_another_model_or_corpus_are_not_reused(other, embed_corpus):
    whole = embed_corpus(20)
    parts = list(embed_corpus.asked)
    with pytest.raises(InterruptedError):
        embed_corpus(20, dies_at=2, **other)
    assert embed_corpus(20) == whole
    assert embed_corpus.asked == parts
    assert len(list(embedding.CACHE.iterdir())) == 1


def test_it_says_how_many_passages_there_are_and_counts_them_in_batches(stored, capsys):
    class Batches(toy.Embedder):
        def embed(self, ids, advance):
            for _ in ids:
                super().embed(ids[:1], advance)
            return super().embed(ids, lambda done: None)

    vectors = np.load(embedding.embed_corpus(stored, Batches(), "m1") / "vectors.npy")
    said = capsys.readouterr()
    assert f"embedding {len(vectors)} passages of 40 documents\n" in said.out
    assert f"{len(vectors)}/{len(vectors)} [" in said.err
    embedding.embed_corpus(stored, Batches(), "m1")
    assert "has the vectors already" in capsys.readouterr().out


def test_caches_of_two_encoders_do_not_disturb_each_other(stored):
    folders = [
        embedding.embed_corpus(stored, toy.Embedder(), name, cache=embedding.CACHE / name)
        for name in ("one", "two")
    ]
    assert all((folder / "vectors.npy").exists() for folder in folders)


def test_memory_does_not_grow_with_the_corpus(peak_memory):
    class Ones:
        dimensions = 256

        def split(self, found):
            return [[[1]] * 4 for _ in found]

        def embed(self, ids, advance):
            return np.ones((len(ids), 256), dtype=np.float32)

    def peak(count):
        store = Path(f"store-{count}")
        documents.write(store, (Document(str(n), "", f"text {n} " * 50) for n in range(count)))
        return peak_memory(embedding.embed_corpus, Documents(store), Ones(), str(count))

    peak(600)  # what is loaded on first use
    assert peak(12_000) < 1.3 * peak(3_000) + 2_000_000
