"""Stored documents and changes since then, searched as if they were one."""

import itertools
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from retrieval import toy
from retrieval.toy import embed

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.collection import Collection
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.journal import FullError, Journal
from portfolio_kit.retrieval.settings import MODES

STORED = Path("models")
CHANGES = "changes/documents.sqlite"
KINDS = {"exact": toy.INDEX, "hnsw": toy.INDEX.model_copy(update={"exact_below": 0})}
WORDS = ["tap", "bread", "rose", "cat", "snow", "moth", "oven", "dog", "choir", "wasp", "jam"]


def query(text, model="m1"):
    return text, toy.vector_of(toy.tokens(text, model))


def random_document(document_id, random):
    """Return a document of one to three sentences."""
    sentences = [" ".join(random.choice(WORDS, random.integers(1, 6))) for _ in range(3)]
    text = ".".join(sentences[: random.integers(1, 4)])
    return Document(document_id, "", text, {"n": document_id})


def some(count, seed=0, prefix="s"):
    random = np.random.default_rng(seed)
    return [random_document(f"{prefix}{number}", random) for number in range(count)]


@pytest.fixture
def build(write_params):
    """Write what a training run leaves of these documents, and open it."""

    def build(stored, folder=STORED, kind="exact", model="m1", **changes):
        manifest = toy.write(folder, stored, KINDS[kind], model)

        def reopen(use=None, **facts):
            settings, use = write_params(changes).serve, use or partial(embed, model=model)
            return Collection(folder, manifest.model_copy(update=facts), settings, use)

        collection = reopen()
        collection.reopen = reopen
        return collection

    return build


def put(collection, *found):
    collection.put(found, embed(found))


def answers(collection, text, count=10, mode="dense"):
    return [hit.document.id for hit in collection.search(*query(text), count, mode)]


def scored(collection, text, count=10, mode="dense"):
    return [
        (hit.document, pytest.approx(hit.score, abs=1e-5))
        for hit in collection.search(*query(text), count, mode)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_an_added_document_is_found_among_the_stored_ones(mode, build):
    collection = build(some(30))
    new = Document("new", "", "umbrella tap", {"by": "me"})
    put(collection, new)
    [hit, *_] = collection.search(*query("umbrella tap"), 5, mode)
    assert hit.document == new
    assert collection.get("new") == new
    ids = answers(collection, "tap cat", 50, mode)
    assert len(ids) == len(set(ids)) > 1
    assert "new" in ids


@pytest.mark.parametrize("mode", MODES)
def test_a_replaced_document_is_found_once_and_by_its_new_text_only(mode, build):
    old = [Document("a", "", "umbrella"), Document("b", "", "cat dog"), Document("c", "", "tap")]
    collection = build([*old, *some(20)])
    for text in ("snow star", "lantern"):  # first a stored document, then a changed one
        put(collection, Document("a", "", text))
        assert answers(collection, text, 1, mode) == ["a"]
        assert answers(collection, text, 50, mode).count("a") == 1
        assert collection.get("a").text == text
    assert answers(collection, "umbrella", 1, mode) != ["a"]
    assert "a" not in answers(collection, "umbrella", 50, "bm25")


@pytest.mark.parametrize("mode", MODES)
def test_a_deleted_document_is_gone_until_it_is_added_again(mode, build):
    collection = build([Document("a", "", "umbrella"), *some(20)])
    put(collection, Document("new", "", "lantern"))
    for gone, text in (("a", "umbrella"), ("new", "lantern")):
        assert collection.delete(gone)
        assert gone not in answers(collection, text, 50, mode)
        assert collection.get(gone) is None
        assert collection.similar(gone, 5) is None
        assert not collection.delete(gone)
        put(collection, Document(gone, "", f"{text} again"))
        assert answers(collection, f"{text} again", 1, mode) == [gone]
        assert collection.get(gone).text == f"{text} again"


def test_an_unknown_document_cannot_be_deleted(build):
    collection = build(some(3))
    assert not collection.delete("nobody")
    assert collection.get("nobody") is None
    assert collection.similar("nobody", 3) is None
    assert Journal(Path(CHANGES)).since(0) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_hidden_documents_are_never_returned_and_displace_no_others(mode, kind, build):
    """Most of the best are deleted or replaced; the next best have to come up."""
    stored = [Document(f"d{n}", "", "tap cat " * (1 + n % 3) + f"word{n}") for n in range(120)]
    collection = build(stored, kind=kind)
    before = answers(collection, "tap cat", 120, "dense")
    for gone in before[:60]:
        collection.delete(gone)
    put(collection, *(Document(one, "", "snow bread") for one in before[60:90]))
    for count in (1, 5, 30):
        found = answers(collection, "tap cat", count, mode)
        assert len(found) == count
        assert set(found) <= set(before[90:])
    assert answers(collection, "tap cat", 5, "dense") == before[90:95]


@pytest.mark.parametrize("mode", MODES)
def test_with_everything_deleted_nothing_is_found(mode, build):
    collection = build(some(5))
    for number in range(5):
        collection.delete(f"s{number}")
    assert answers(collection, "tap cat snow", 3, mode) == []
    put(collection, Document("new", "", "tap"))
    assert answers(collection, "tap cat snow", 3, mode) == ["new"]


def change_much(collection, seed, steps=150):
    """Put and delete documents at random; return what is left by id (None: deleted)."""
    random = np.random.default_rng(seed)
    there = {}
    for _ in range(steps):
        document_id = f"{random.choice(['s', 'n'])}{random.integers(40)}"
        if random.random() < 0.3:
            collection.delete(document_id)
            there[document_id] = None
        else:
            there[document_id] = random_document(document_id, random)
            put(collection, there[document_id])
    return there


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_after_many_changes_it_answers_like_one_built_from_the_result(seed, kind, build):
    stored = some(40)
    changed = build(stored, kind=kind)
    there = {one.id: one for one in stored} | change_much(changed, seed)
    left = [one for one in there.values() if one]
    rebuilt = build(left, Path("rebuilt"), changes=None)
    random = np.random.default_rng(seed)
    for _ in range(25):
        text = " ".join(random.choice(WORDS, 3))
        expected = scored(rebuilt, text, 100)
        found = scored(changed, text, 100)
        assert [score for _, score in found] == [score.expected for _, score in expected]
        # Ties may come in another order, so documents are compared with their scores.
        assert {one.id: score.expected for one, score in found} == pytest.approx(
            {one.id: score.expected for one, score in expected}, abs=1e-5
        )
        assert set(answers(changed, text, 100, "bm25")) == set(answers(rebuilt, text, 100, "bm25"))
    for one in left:
        assert changed.get(one.id) == one
        assert [hit.score for hit in changed.similar(one.id, 5)] == pytest.approx(
            [hit.score for hit in rebuilt.similar(one.id, 5)], abs=1e-5
        )
    assert all(changed.get(key) is None for key, value in there.items() if value is None)


def test_a_document_put_as_it_was_stored_scores_as_before(build):
    stored = some(40)
    collection = build(stored)
    texts = ["tap cat", "snow oven moth", "choir"]
    before = [scored(collection, text, 40, mode) for mode in MODES[:2] for text in texts]
    put(collection, *stored[::2])
    after = [scored(collection, text, 40, mode) for mode in MODES[:2] for text in texts]
    for one, other in zip(before, after, strict=True):
        assert {document.id: score.expected for document, score in one} == pytest.approx(
            {document.id: score.expected for document, score in other}, abs=1e-5
        )


@pytest.mark.parametrize("mode", MODES)
def test_after_reopening_the_answers_are_the_same(mode, build):
    collection = build(some(40))
    there = change_much(collection, seed=7)
    again = collection.reopen()
    for text in ("tap cat", "snow", "bread rose star"):
        assert scored(again, text, 100, mode) == scored(collection, text, 100, mode)
    for document_id in there:
        assert again.get(document_id) == collection.get(document_id)


def test_two_collections_of_one_journal_see_each_others_changes(build):
    one = build([Document("a", "", "umbrella"), *some(10)])
    other = one.reopen()
    put(one, Document("new", "", "lantern"))
    assert answers(other, "lantern", 1) == ["new"]
    put(other, Document("new", "", "candle"))
    assert one.get("new").text == "candle"
    assert other.delete("a")
    assert one.get("a") is None
    assert "a" not in answers(one, "umbrella", 20)
    assert not one.delete("a")


def test_without_a_journal_documents_do_not_change(build):
    collection = build(some(5), changes=None)
    assert collection.read_only == "serve.changes is null here: documents do not change."
    assert len(answers(collection, "tap", 9)) == 5
    assert not Path("changes").exists()


def test_vectors_of_another_model_are_recomputed_once_and_kept(build):
    stored = some(20)
    first = build(stored)
    new = [Document("new", "", "tap. cat snow"), Document("s3", "", "lantern")]
    put(first, *new)
    first.delete("s4")

    embedded = []

    def count_and_embed(found):
        embedded.extend(one.id for one in found)
        return embed(found, "m2")

    build(stored, model="m2").reopen()  # trained again
    kept = {change.id: change for change in Journal(Path(CHANGES)).since(0)}
    assert [kept[name].model for name in ("new", "s3", "s4")] == ["m2 32 8", "m2 32 8", ""]
    for one, expected in zip(new, embed(new, "m2"), strict=True):
        np.testing.assert_array_equal(kept[one.id].vectors, expected.ravel())
    second = build(stored, model="m2").reopen(count_and_embed)
    assert embedded == []
    hits = second.search(*query("cat snow", "m2"), 3, "dense")
    assert hits[0].document == new[0]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert second.get("s4") is None


@pytest.mark.parametrize("facts", [{}, {"max_tokens": 64}, {"overlap_tokens": 0}], ids=str)
def test_passages_of_another_length_are_recomputed(facts, build):
    embedded = []

    def count_and_embed(found):
        embedded.extend(one.id for one in found)
        return embed(found)

    collection = build(some(5))
    put(collection, Document("new", "", "tap. cat snow"))
    for _ in range(2):
        collection.reopen(count_and_embed, **facts)
    assert embedded == (["new"] if facts else [])


def test_a_change_by_a_process_with_the_previous_model_is_embedded_again(build):
    """During a rollout the old version may still write."""
    stored = some(10)
    old = build(stored)
    new = build(stored, model="m2")
    put(old, Document("late", "", "lantern"))
    [hit, *_] = new.search(*query("lantern", "m2"), 1, "dense")
    assert hit.document.id == "late"
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_similar_documents_are_those_nearest_to_the_mean_of_its_passages(build):
    stored = some(40)
    collection = build(stored)
    put(collection, Document("new", "", "tap cat.snow oven"))
    found = {one.id: rows for one, rows in zip(stored, embed(stored), strict=True)}
    found["new"] = embed([Document("new", "", "tap cat.snow oven")])[0]
    for name in ("new", "s5"):
        mean = found[name].mean(axis=0)
        mean /= np.linalg.norm(mean)
        scores = {other: (rows @ mean).max() for other, rows in found.items() if other != name}
        best = sorted(scores, key=lambda other: -scores[other])[:5]
        hits = collection.similar(name, 5)
        assert [hit.score for hit in hits] == pytest.approx([scores[one] for one in best], abs=1e-4)
        assert name not in {hit.document.id for hit in hits}


def test_a_hybrid_search_fuses_the_other_two(build):
    collection = build(some(60))
    put(collection, *some(20, seed=1, prefix="n"))
    for text in ("tap cat", "snow oven moth", "choir"):
        nearest, with_words = (
            {hit.document.id: hit.score for hit in collection.search(*query(text), 100, mode)}
            for mode in ("dense", "bm25")
        )
        assert len(nearest) == 80 > len(with_words)
        closest, most = max(nearest.values()) + 1, max(with_words.values())
        scores = {
            one: 0.8 * (cosine + 1) / closest + 0.2 * with_words.get(one, 0) / most
            for one, cosine in nearest.items()
        }
        hits = collection.search(*query(text), 10, "hybrid")
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores.values())[:-11:-1])
        assert [scores[hit.document.id] for hit in hits] == pytest.approx(
            [hit.score for hit in hits]
        )


@pytest.mark.parametrize("mode", MODES)
def test_a_query_without_a_known_word_finds_by_meaning_or_nothing(mode, build):
    collection = build(some(20))
    assert len(answers(collection, "xylophone", 5, mode)) == (0 if mode == "bm25" else 5)
    assert collection.search("xylophone", None, 5, "bm25") == []


def test_the_retrieval_mode_is_the_trained_one_unless_settings_override_it(build):
    assert build(some(3)).mode == "hybrid"
    assert build(some(3), retrieval="bm25").mode == "bm25"


def test_an_unusable_journal_is_reported(build):
    Path("changes").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(UserError, match=f"^serve.changes: {CHANGES} cannot be used: "):
        build(some(3))


def test_concurrent_writes_and_searches_lose_nothing(build):
    """Four write and two search, in two collections of one journal."""
    collection = build(some(50))
    others = [collection, collection.reopen()]
    stop, faults = threading.Event(), []
    together = threading.Barrier(6)

    def write(writer):
        together.wait()
        mine = others[writer % 2]
        for step in range(25):
            one = Document(f"w{writer}-{step}", "", f"lantern word{writer}x{step}")
            put(mine, one, Document(f"last-{writer}", "", f"step{writer}x{step}"))
            if mine.get(one.id) != one or answers(mine, one.text, 1, "bm25") != [one.id]:
                faults.append(f"{one.id} is not found by its writer")
            if step % 5 == 0 and not mine.delete(one.id):
                faults.append(f"{one.id} cannot be deleted")
            mine.delete(f"s{10 * writer + step % 10}")

    def search(reader):
        together.wait()
        for mode in itertools.cycle(MODES):
            found = answers(others[reader], "lantern tap cat", 30, mode)
            if len(set(found)) != len(found):
                faults.append(f"found twice: {found}")
            if stop.is_set():
                return

    with ThreadPoolExecutor(6) as threads:
        searches = [threads.submit(search, reader) for reader in range(2)]
        writes = [threads.submit(write, writer) for writer in range(4)]
        for one in writes:
            one.result()
        stop.set()
        for one in searches:
            one.result()
    assert faults == []
    expected = {f"w{writer}-{step}" for writer in range(4) for step in range(25) if step % 5}
    for one in (*others, collection.reopen()):
        assert set(answers(one, "lantern", 200, "bm25")) == expected
        everything = {f"last-{n}" for n in range(4)} | {f"s{n}" for n in range(40, 50)} | expected
        assert set(answers(one, "tap", 500)) == everything
        assert [one.get(f"last-{n}").text for n in range(4)] == [f"step{n}x24" for n in range(4)]


def test_at_its_limit_nothing_is_added_until_something_is_deleted(build):
    """Deletions of stored documents take room; those of added ones are dropped to make it."""
    collection = build(some(5), max_changes=3)
    put(collection, Document("a", "", "lantern"), Document("s0", "", "candle"))
    collection.delete("s1")
    for one in (Document("b", "", "umbrella"), Document("s2", "", "umbrella")):
        with pytest.raises(FullError, match=r"^serve\.max_changes is 3: no room for this change; "):
            put(collection, one)
    with pytest.raises(FullError):
        collection.delete("s2")  # it is stored, so this is one more change
    assert answers(collection, "umbrella", 9, "bm25") == []
    assert collection.get("s2") == some(5)[2]
    put(collection, Document("a", "", "wren"))  # in place of what is there
    collection.delete("a")
    put(collection, Document("b", "", "umbrella"))
    again = collection.reopen()
    for one in (collection, again):
        assert answers(one, "umbrella", 1, "bm25") == ["b"]
        assert one.get("a") is None
        assert one.get("s1") is None  # its deletion was not dropped
        assert one.get("s0").text == "candle"
    assert len(Journal(Path(CHANGES)).since(0)) == 3


def test_who_missed_a_deletion_that_was_dropped_still_learns_of_it(build):
    first = build(some(5), max_changes=2)
    other = first.reopen()
    put(first, Document("a", "", "lantern"), Document("s3", "", "candle"))
    assert other.get("a")
    first.delete("a")
    put(first, Document("b", "", "umbrella"))
    first.delete("b")
    put(first, Document("c", "", "wren"))
    assert [change.id for change in Journal(Path(CHANGES)).since(0)] == ["s3", "c"]
    assert other.get("a") is None
    assert answers(other, "lantern", 9, "bm25") == []
    assert other.get("c").text == "wren"
    assert other.get("s3").text == "candle"


def test_with_a_lower_limit_what_is_there_stays_and_may_shrink(build, write_params):
    collection = build(some(5))
    put(collection, *(Document(f"n{number}", "", "lantern") for number in range(4)))
    lower = build(some(5), max_changes=2)
    assert lower.get("n3")
    for number in range(4):
        assert lower.delete(f"n{number}")
    put(lower, Document("new", "", "wren"))
    put(lower, Document("new", "", "wren again"), Document("second", "", "wren"))
    with pytest.raises(FullError):
        put(lower, Document("third", "", "wren"))


def test_bytes_are_bounded_and_freed(build):
    collection = build(some(5), max_changes_megabytes=1)
    large = Document("large", "", "é" * 300_000)  # 600,000 bytes of UTF-8
    put(collection, large)
    with pytest.raises(FullError, match=r"^serve\.max_changes_megabytes is 1: no room"):
        put(collection, Document("small", "", "lantern"), large._replace(id="other"))
    assert collection.get("small") is None
    put(collection, large)  # it replaces itself
    collection.delete("large")
    put(collection, Document("small", "", "lantern"), large._replace(id="other"))


def test_limits_hold_for_concurrent_writers_and_each_call_is_all_or_nothing(build):
    collection = build(some(5), max_changes=30)
    others = [collection, collection.reopen(), collection.reopen()]

    def write(writer):
        done = []
        for step in range(8):
            pair = [Document(f"w{writer}-{step}{half}", "", "lantern") for half in "ab"]
            try:
                put(others[writer % 3], *pair)
            except FullError:
                continue
            done += [one.id for one in pair]
        return done

    with ThreadPoolExecutor(6) as threads:
        done = list(itertools.chain.from_iterable(threads.map(write, range(6))))
    assert len(done) == 30
    for one in others:
        assert sorted(answers(one, "lantern", 99, "bm25")) == sorted(done)


def test_limits_hold_for_several_processes(build):
    build(some(5)).close()
    program = (
        "import sys; from pathlib import Path\n"
        "from portfolio_kit.retrieval.documents import Document\n"
        "from portfolio_kit.retrieval.journal import Change, FullError, Journal, Room\n"
        "import numpy as np\n"
        f"journal, done = Journal(Path({CHANGES!r}), Room(20, 1), lambda one: False), 0\n"
        "for step in range(15):\n"
        "    names = [f'{sys.argv[1]}-{step}{half}' for half in 'ab']\n"
        "    found = [Document(name, '', 'text') for name in names]\n"
        "    try:\n"
        "        journal.write([Change(one.id, one, 'm', np.ones(4)) for one in found])\n"
        "        done += 2\n"
        "    except FullError:\n"
        "        pass\n"
        "print(done)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, name], stdout=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    done = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    ids = {change.id for change in Journal(Path(CHANGES)).since(0)}
    assert sum(done) == len(ids) == 20
    assert {one[:-1] + "b" for one in ids} == {one[:-1] + "b" for one in ids if one[-1] == "a"}


def test_a_new_model_starts_from_memory_where_the_journal_cannot_be_written(
    build, monkeypatch, caplog
):
    stored = some(5)
    old = build(stored)
    put(old, Document("new", "", "lantern"))
    old.delete("s1")
    old.close()

    def fail(*arguments):
        raise UserError("serve.changes: it cannot be used: database or disk is full")

    monkeypatch.setattr(Journal, "write_vectors", fail)
    new = build(stored, model="m2")
    assert "the new vectors of 1 documents stay in memory" in caplog.text
    assert new.search(*query("lantern", "m2"), 1, "dense")[0].score == pytest.approx(1, abs=1e-3)
    assert new.get("s1") is None
    [kept] = [one for one in Journal(Path(CHANGES)).since(0) if one.document]
    assert kept.model == "m1 32 8"


@pytest.mark.parametrize("count", [0, 5])
def test_vectors_of_the_wrong_length_are_named(count, build):
    collection = build(some(3))
    put(collection, Document("fine", "", "lantern"), Document("short", "", "lantern"))
    collection.close()
    with sqlite3.connect(CHANGES) as other:
        other.execute("UPDATE changes SET vectors = ? WHERE id = 'short'", (bytes(2 * count),))
    with pytest.raises(UserError) as caught:
        build(some(3))
    assert str(caught.value) == (
        f"serve.changes: {CHANGES}: document 'short' (number 2 in the table changes) is damaged: "
        "its vectors are not of 12 numbers each; restore a backup, or delete this row"
    )
    assert build(some(3), model="m2").get("short")  # whose vectors are computed again
