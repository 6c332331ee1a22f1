"""Queries for training, validation and test: as the files say, and no query in two of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from portfolio_kit import artifacts
from portfolio_kit.artifacts import PROCESSED
from portfolio_kit.retrieval.documents import Documents
from portfolio_kit.text.near_duplicates import jaccard

from {{cookiecutter.package_name}}.data.prepare import CORPUS, Dataset, read_split
from {{cookiecutter.package_name}}.data.splits import COLUMNS, SPLITS
from {{cookiecutter.package_name}}.project import PROJECT

LITTLE = [
    {"_id": "a", "text": "apples"},
    {"_id": "b", "text": "pears"},
    {"_id": "c", "text": "figs"},
]


@pytest.fixture
def split(run):
    """Run `data` and return the judged queries that it wrote."""

    def split(*arguments):
        outcome = run("data", *arguments)
        assert outcome.code == 0, outcome.err
        return {name: read_split(name) for name in SPLITS}

    return split


def manifest():
    return artifacts.read_manifest(PROCESSED, Dataset, made_by="data")


def written():
    return {path.name: path.read_bytes() for path in sorted(PROCESSED.iterdir())}


def triples(part):
    return set(zip(part["query_id"], part["document_id"], part["relevance"], strict=True))


def between(rows, start, end):
    """Return the judgements of the queries with numbers after `start`, up to `end`."""
    return [row for row in rows if start < int(re.search(r"\d+", row[0])[0]) <= end]


def asked(*texts):
    return [{"_id": f"q{number}", "text": text} for number, text in enumerate(texts, start=1)]


def test_a_training_file_alone_is_split_in_three(configure, split, queries, judged):
    configure()
    parts = split()
    together = pd.concat(parts.values())
    assert list(together) == COLUMNS
    assert sorted(triples(together)) == sorted(judged)
    ids = [set(part["query_id"]) for part in parts.values()]
    assert sum(map(len, ids)) == len(set.union(*ids)) == len(queries)
    assert [len(one) for one in ids] == [84, 12, 24]
    texts = {query["_id"]: query["text"] for query in queries}
    assert (together["query_id"].map(texts) == together["query"]).all()


@pytest.mark.parametrize(("test", "valid"), [(0.3, 0.1), (0.1, 0.3), (0.3, 0.3)])
def test_parts_have_the_requested_sizes(test, valid, configure, split, queries):
    configure({"data.test_fraction": test, "data.valid_fraction": valid})
    parts = split()
    assert parts["test"]["query_id"].nunique() == pytest.approx(test * len(queries), abs=1)
    assert parts["valid"]["query_id"].nunique() == pytest.approx(valid * len(queries), abs=1)


def test_another_seed_gives_another_split(configure, split):
    configure()
    one, other = (set(split("--set", f"seed={seed}")["test"]["query_id"]) for seed in (13, 14))
    assert one != other


def test_a_file_for_each_part_is_used_as_it_is(given, split, corpus, queries, judged):
    # In another order, and with a test set larger than the training set.
    given(
        corpus, queries, between(judged, 60, 90), between(judged, 90, 120), between(judged, 0, 60)
    )
    parts = split("--set", "data.near_duplicate_similarity=null")
    assert triples(parts["train"]) == set(between(judged, 60, 90))
    assert triples(parts["valid"]) == set(between(judged, 90, 120))
    assert triples(parts["test"]) == set(between(judged, 0, 60))


def test_without_a_dev_file_part_of_the_training_queries_validates(
    given, split, corpus, queries, judged
):
    given(corpus, queries, train=between(judged, 0, 90), test=between(judged, 90, 120))
    parts = split()
    assert triples(parts["test"]) == set(between(judged, 90, 120))
    assert triples(parts["train"]) | triples(parts["valid"]) == set(between(judged, 0, 90))
    ids = [set(parts[name]["query_id"]) for name in ("train", "valid")]
    assert not ids[0] & ids[1]
    assert len(ids[1]) == pytest.approx(0.1 * len(ids[0] | ids[1]), abs=1)


def test_a_dev_file_validates_without_a_test_file_too(given, split, corpus, queries, judged):
    given(corpus, queries, train=between(judged, 0, 90), dev=between(judged, 90, 120))
    parts = split("--set", "data.near_duplicate_similarity=null")
    assert triples(parts["valid"]) == set(between(judged, 90, 120))
    assert triples(parts["train"]) | triples(parts["test"]) == set(between(judged, 0, 90))
    ids = [set(parts[name]["query_id"]) for name in ("train", "test")]
    assert not ids[0] & ids[1]
    assert len(ids[1]) == pytest.approx(0.2 * len(ids[0] | ids[1]), abs=1)


def test_with_only_a_test_file_there_is_no_training_query(given, split, corpus, queries, judged):
    given(corpus, queries, test=judged)
    parts = split()
    assert triples(parts["test"]) == set(judged)
    assert parts["train"].empty
    assert parts["valid"].empty
    assert list(parts["train"]) == COLUMNS
    assert manifest().rows == {"train": 0, "valid": 0, "test": len(queries)}


@pytest.mark.parametrize("queries", [None, ""])
def test_documents_alone_are_enough(queries, given, split, corpus):
    given(corpus, queries)
    assert all(part.empty for part in split().values())
    facts = manifest()
    assert facts.documents == len(corpus)
    assert facts.rows == {"train": 0, "valid": 0, "test": 0}


def test_too_few_queries_to_hold_some_out_are_rejected(given, rejection):
    given(LITTLE, asked("which fruit"), train=[("q1", "a", 1)])
    assert rejection("data") == [
        "error: data.source: 1 queries are too few to hold some out; judge more, or give only a "
        "test file"
    ]


def test_queries_without_an_answer_are_left_out_and_reported(given, run):
    rows = [("q1", "a", 1), ("q2", "b", 0), ("q3", "b", 1)]
    given(LITTLE, asked("which fruit", "which other", "  "), test=rows)
    outcome = run("data")
    assert outcome.code == 0
    assert read_split("test")["query_id"].tolist() == ["q1"]
    said = "note: 2 of 3 test queries are empty or have no relevant document; left out"
    assert said in outcome.out


def test_empty_documents_are_left_out_and_counted_and_their_judgements(given, split):
    documents = [*LITTLE, {"_id": "d", "text": " "}, {"_id": "e"}, {"_id": "g", "title": "plums"}]
    rows = [("q1", "a", 1), ("q1", "e", 1), ("q2", "d", 1)]
    given(documents, asked("which fruit", "which other"), test=rows)
    assert triples(split()["test"]) == {("q1", "a", 1)}
    stored = Documents(PROCESSED / CORPUS)
    assert [stored.at(row).id for row in range(len(stored))] == ["a", "b", "c", "g"]
    assert manifest().documents == 4
    assert manifest().dropped["empty_documents"] == 2
    assert manifest().dropped["judgements_of_empty_documents"] == 2


def test_queries_that_nearly_repeat_a_held_out_one_are_dropped(
    given, split, corpus, queries, judged
):
    again = [
        {"_id": f"{query['_id']}-again", "text": f"{query['text'].upper()}!"} for query in queries
    ]
    rows = [(f"{query}-again", document, relevance) for query, document, relevance in judged]
    train = [*between(judged, 0, 70), *between(rows, 80, 120), *between(rows, 0, 10)]
    valid = between(judged, 70, 100)
    test = [*between(judged, 100, 120), *between(rows, 70, 80)]
    given(corpus, [*queries, *again], train, valid, test)
    parts = split()
    texts = {name: set(part["query"]) for name, part in parts.items()}
    assert triples(parts["test"]) == set(test)
    assert triples(parts["valid"]) == set(between(judged, 80, 100))
    for one in texts["train"]:
        assert all(jaccard(one, other) < 0.8 for other in texts["valid"] | texts["test"])
    # Within the training set they may stay.
    assert set(between(rows, 0, 10)) <= triples(parts["train"])
    dropped = manifest().dropped
    assert dropped["near_duplicates_in_train"] == 40
    assert dropped["near_duplicates_in_valid"] == 10


def test_without_a_similarity_they_stay(given, split, corpus, queries, judged):
    again = [{"_id": "again", "text": queries[0]["text"]}]
    document = judged[0][1]
    given(
        corpus,
        [*queries, *again],
        train=[("again", document, 1), *between(judged, 60, 120)],
        dev=between(judged, 30, 60),
        test=between(judged, 0, 30),
        near_duplicate_similarity=None,
    )
    assert "again" in set(split()["train"]["query_id"])
    assert "near_duplicates_in_train" not in manifest().dropped
    assert manifest().near_duplicate_documents == 0


def test_training_queries_need_some_to_validate_on(given, rejection, corpus, queries, judged):
    text = "my tap drips in the dark of the night"
    more = [{"_id": name, "text": text} for name in ("dev", "test")]
    held_out = {name: [(name, "tap", 1)] for name in ("dev", "test")}
    given(corpus, [*queries, *more], train=judged, **held_out)
    [line] = rejection("data")
    assert line == (
        "error: data.near_duplicate_similarity: every validation query nearly repeats a test "
        "query, and none is left to choose a model by; add others, or set it to null"
    )
    assert not PROCESSED.exists()


def test_the_manifest_describes_source_and_result(configure, split, corpus):
    source = Path(configure().data.source)
    parts = split()
    facts = manifest()
    assert facts.source == str(source)
    assert facts.sha256 == artifacts.sha256(source)
    assert facts.seed == 8
    assert facts.documents == len(corpus)
    assert facts.rows == {name: part["query_id"].nunique() for name, part in parts.items()}
    assert list(facts.files) == [CORPUS, *(f"{name}.parquet" for name in SPLITS)]


def test_the_same_command_in_another_folder_gives_the_same_bytes(
    given, split, corpus, queries, judged, monkeypatch
):
    documents = [{**one, "metadata": {"words": len(one["text"].split())}} for one in corpus]
    given(documents, queries, judged)
    split()
    here = written()
    assert set(here) == {CORPUS, "manifest.json", *(f"{name}.parquet" for name in SPLITS)}

    # Another process, with another order of hashes, in another folder.
    folder = Path("elsewhere")
    folder.mkdir()
    Path("given").rename(folder / "given")
    (folder / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    command = [sys.executable, "-m", PROJECT.package, "data"]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    monkeypatch.chdir(folder)
    assert written() == here


def test_the_hash_of_unpinned_data_and_the_files_used_are_printed(run, configure):
    source, said = Path(configure().data.source), run("data").out
    assert artifacts.sha256(source) in said
    assert "judgements: train from qrels/train.tsv; valid and test held out of train\n" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"documents": '{"_id": "a"'},
        {"documents": [*LITTLE, *LITTLE]},
        {"documents": ""},
        {"queries": "nothing"},
        {"test": [("q1", "nothing", 1)]},
        {"train": "q1 a"},
        {"test": None},
        {"test": [("q1", "a", 0)]},
    ],
    ids=["half", "twice", "empty", "queries", "unknown", "judged", "unjudged", "unanswered"],
)
def test_rejected_data_leaves_the_last_split_as_it_was(changes, given, split, rejection):
    good = {"documents": LITTLE, "queries": asked("which fruit"), "test": [("q1", "a", 1)]}
    given(**good)
    split()
    before = written()
    given(**{**good, **changes})
    rejection("data")
    assert written() == before
    assert manifest().documents == 3
