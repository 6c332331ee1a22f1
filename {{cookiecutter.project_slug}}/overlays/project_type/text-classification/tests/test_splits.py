"""Train, valid and test: nothing of one in another, the same again, from files of every kind."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from {{cookiecutter.package_name}} import artifacts, config
from {{cookiecutter.package_name}}.data.near_duplicates import jaccard
from {{cookiecutter.package_name}}.data.prepare import SPLITS, read_split

COLUMNS = {"text_column": "note", "label_column": "team"}
CLASSES = {"computers", "electrics", "garden", "plumbing"}


@pytest.fixture
def split(run, configure):
    """Run `data`, on the notes unless something else is given, and return what it wrote."""
    configure()

    def split(*arguments):
        outcome = run("data", *arguments)
        assert outcome.code == 0, outcome.err
        return {name: read_split(name) for name in SPLITS}

    return split


def manifest():
    return artifacts.read_manifest(artifacts.PROCESSED, made_by="data")


def written():
    return {path.name: path.read_bytes() for path in sorted(artifacts.PROCESSED.iterdir())}


def test_each_note_comes_into_exactly_one_part(split, notes):
    parts = split()
    together = pd.concat(parts.values())
    assert sorted(together["text"]) == sorted(notes["note"])
    labels = dict(zip(notes["note"], notes["team"], strict=True))
    assert (together["text"].map(labels) == together["label"]).all()


def test_parts_have_the_sizes_asked_for_and_every_class(split, notes):
    parts = split("--set", "data.test_fraction=0.25", "--set", "data.valid_fraction=0.15")
    assert len(parts["test"]) == pytest.approx(0.25 * len(notes), rel=0.2)
    assert len(parts["valid"]) == pytest.approx(0.15 * len(notes), rel=0.3)
    for part in parts.values():
        assert set(part["label"]) == CLASSES


def test_a_group_stays_on_one_side(split, notes):
    groups = [set(part["group"]) for part in split().values()]
    assert set.union(*groups) == set(notes["reporter"])
    assert sum(map(len, groups)) == notes["reporter"].nunique()


def test_without_groups_classes_keep_their_shares(split, notes):
    parts = split("--set", "data.group_column=null")
    for part in parts.values():
        shares = part["label"].value_counts(normalize=True)
        assert shares.max() - shares.min() < 0.1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("group_column", ["reporter", "null"])
def test_good_data_gives_no_warnings(group_column, split):
    split("--set", f"data.group_column={group_column}")


def test_no_text_is_in_two_parts_though_the_file_repeats_it(given, split, notes):
    doubled = pd.concat([notes, notes, notes.head(10)])
    given(doubled.to_csv(index=False), **COLUMNS)
    parts = split()
    texts = pd.concat(parts.values())["text"]
    assert texts.is_unique
    assert len(texts) == len(notes)
    assert manifest()["dropped"]["repeated"] == len(notes) + 10


def test_a_text_with_two_labels_is_left_out(given, split, notes):
    contradiction = notes.head(1).assign(team="garden")
    given(pd.concat([notes, contradiction]).to_csv(index=False), **COLUMNS)
    texts = pd.concat(split().values())["text"]
    assert notes["note"][0] not in set(texts)
    assert manifest()["dropped"]["contradictory"] == 2


def test_the_manifest_says_what_was_made_of_what(split, notes, configure):
    source = Path(configure().data.source)
    parts = split()
    facts = manifest()
    assert facts["source"] == str(source)
    assert facts["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert facts["seed"] == 13
    assert facts["rows"] == {name: len(part) for name, part in parts.items()}
    assert facts["classes"] == parts["train"]["label"].value_counts().to_dict()


def test_the_same_command_in_another_folder_gives_the_same_bytes(given, split, notes, monkeypatch):
    content = notes.to_csv(index=False)
    given(content, **COLUMNS)
    split()
    here = written()
    assert set(here) == {"manifest.json", "test.parquet", "train.parquet", "valid.parquet"}

    # A process of its own, with another order of its hashes, in another folder.
    folder = Path("elsewhere")
    folder.mkdir()
    for name in ("params.yaml", "notes.csv"):
        (folder / name).write_bytes(Path(name).read_bytes())
    command = [sys.executable, "-m", config.__package__, "data"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    monkeypatch.chdir(folder)
    assert written() == here


def test_another_seed_gives_another_split(split):
    one, other = (set(split("--set", f"seed={seed}")["test"]["text"]) for seed in (13, 14))
    assert one != other


def test_csv_jsonl_and_parquet_give_the_same_split(given, split, notes):
    found = []
    for name in ("notes.csv", "notes.jsonl", "notes.parquet"):
        given("", name, **COLUMNS, group_column="reporter")
        if name.endswith("csv"):
            notes.to_csv(name, index=False)
        elif name.endswith("jsonl"):
            notes.to_json(name, orient="records", lines=True)
        else:
            notes.to_parquet(name)
        found.append(split())
    for name in SPLITS:
        pd.testing.assert_frame_equal(found[0][name], found[1][name])
        pd.testing.assert_frame_equal(found[0][name], found[2][name])


def test_an_official_test_file_is_the_test_set(given, split, notes):
    notes.tail(40).to_csv("official.csv", index=False)
    # The source repeats some of its rows: those must not be trained on.
    given(notes.head(120).to_csv(index=False), **COLUMNS, test_source="official.csv")
    parts = split()
    assert sorted(parts["test"]["text"]) == sorted(notes["note"].tail(40))
    rest = pd.concat([parts["train"], parts["valid"]])["text"]
    assert sorted(rest) == sorted(notes["note"].head(104))
    assert manifest()["dropped"]["in_test_source"] == 16
    assert set(parts["valid"]["label"]) == CLASSES


def test_groups_of_an_official_test_file_are_not_trained_on(given, split, notes):
    theirs = notes["reporter"].isin(notes["reporter"].unique()[:8])
    official = theirs & (notes.index < 100)
    notes[official].to_csv("official.csv", index=False)
    columns = {**COLUMNS, "group_column": "reporter"}
    given(notes[~official].to_csv(index=False), **columns, test_source="official.csv")
    parts = split()
    assert len(parts["test"]) == official.sum()
    assert manifest()["dropped"]["in_test_source"] == (theirs & ~official).sum() > 0
    for name in ("train", "valid"):
        assert not set(parts[name]["group"]) & set(notes["reporter"][theirs])


def test_an_official_test_file_is_checked_like_the_source(given, refusal, notes):
    given(notes.head(100).to_csv(index=False), **COLUMNS, test_source="official.csv")
    [line] = refusal("data")
    assert line == "error: data.test_source: there is no file official.csv"
    Path("official.csv").write_text("note,team\n,garden\ntap,plumbing\n", encoding="utf-8")
    assert "data.text_column 'note' of official.csv: 1 row (line 2: '')" in refusal("data")[0]
    unheard = notes.tail(44).replace({"team": {"garden": "unheard of"}})
    unheard.to_csv("official.csv", index=False)
    assert "unheard of" in refusal("data")[0]


def test_data_comes_over_http_by_its_hash_alone(configure, split, notes, server):
    content = notes.to_csv(index=False).encode()
    server.files["/open/data.csv"] = content
    pin = hashlib.sha256(content).hexdigest()
    configure({"data.source": f"{server.url}/open/data.csv", "data.sha256": pin})
    parts = split()
    assert sum(map(len, parts.values())) == len(notes)
    asked = len(server.requests)
    split()
    assert len(server.requests) == asked


def test_what_is_not_pinned_is_said_with_its_hash(run, configure):
    source = Path(configure().data.source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() in run("data").out


def test_a_refused_file_leaves_the_last_split_as_it_was(split, refusal):
    split()
    before = written()
    refusal("data", "--set", "data.text_column=body")
    assert written() == before


@pytest.mark.parametrize("group_column", [None, "reporter"])
@pytest.mark.parametrize("official", [False, True], ids=["own test set", "official test set"])
def test_no_near_duplicate_straddles_the_splits(official, group_column, given, run, notes):
    again = notes.assign(note=notes["note"].str.upper() + " Thanks!", reporter="somebody else")
    rows = pd.concat([notes, again.iloc[::3]]).sample(frac=1, random_state=1)
    if official:
        rows.tail(60).to_csv("official.csv", index=False)
        rows = rows.head(-60)
    given(
        rows.to_csv(index=False),
        **COLUMNS,
        group_column=group_column,
        near_duplicate_similarity=0.6,
        test_source="official.csv" if official else None,
    )
    outcome = run("data")
    assert outcome.code == 0, outcome.err
    train, valid, test = (read_split(name)["text"] for name in SPLITS)
    closest = [jaccard(one, other) for one in train for other in [*valid, *test]]
    assert max(closest) < 0.6
    assert max(jaccard(one, other) for one in valid for other in test) < 0.6
    dropped = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")["dropped"]
    assert dropped["near_duplicates_in_train"] > 0


def test_without_a_similarity_they_stay(given, run, notes):
    again = notes.assign(note=notes["note"].str.upper())
    given(pd.concat([notes, again]).to_csv(index=False), **COLUMNS)
    assert run("data").code == 0
    assert sum(len(read_split(name)) for name in SPLITS) == 2 * len(notes)
