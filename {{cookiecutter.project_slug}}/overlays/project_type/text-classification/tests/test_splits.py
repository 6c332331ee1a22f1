"""Train, valid and test: disjoint, reproducible, and the same from each kind of file."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from type_fixtures import LABELS

from portfolio_kit import artifacts
from portfolio_kit.text.near_duplicates import jaccard

from {{cookiecutter.package_name}}.data.prepare import SPLITS, Dataset, read_split
from {{cookiecutter.package_name}}.project import PROJECT


@pytest.fixture
def split(run, configure):
    """Run `data`, on the notes unless another file is given, and return what it wrote."""
    configure()

    def split(*arguments):
        outcome = run("data", *arguments)
        assert outcome.code == 0, outcome.err
        return {name: read_split(name) for name in SPLITS}

    return split


def manifest():
    return artifacts.read_manifest(artifacts.PROCESSED, Dataset, made_by="data")


def written():
    return {path.name: path.read_bytes() for path in sorted(artifacts.PROCESSED.iterdir())}


def test_each_note_is_in_exactly_one_part(split, notes):
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
        assert set(part["label"]) == set(LABELS)


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
    given(doubled.to_csv(index=False))
    parts = split()
    texts = pd.concat(parts.values())["text"]
    assert texts.is_unique
    assert len(texts) == len(notes)
    assert manifest().dropped["repeated"] == len(notes) + 10


def test_a_text_with_two_labels_is_dropped(given, split, notes):
    contradiction = notes.head(1).assign(team="garden")
    given(pd.concat([notes, contradiction]).to_csv(index=False))
    texts = pd.concat(split().values())["text"]
    assert notes["note"][0] not in set(texts)
    assert manifest().dropped["contradictory"] == 2


def test_the_manifest_names_the_source_and_what_came_of_it(split, configure):
    source = Path(configure().data.source)
    parts = split()
    data = manifest()
    assert data.source == str(source)
    assert data.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert data.seed == 13
    assert data.rows == {name: len(part) for name, part in parts.items()}
    assert data.classes == parts["train"]["label"].value_counts().to_dict()
    assert set(data.files) == {f"{name}.parquet" for name in SPLITS}


def test_the_same_command_in_another_folder_gives_the_same_bytes(given, split, notes, monkeypatch):
    content = notes.to_csv(index=False)
    given(content)
    split()
    here = written()
    assert set(here) == {"manifest.json", "test.parquet", "train.parquet", "valid.parquet"}

    # Another process, with another order of hashes, in another folder.
    folder = Path("elsewhere")
    folder.mkdir()
    for name in ("params.yaml", "notes.csv"):
        (folder / name).write_bytes(Path(name).read_bytes())
    command = [sys.executable, "-m", PROJECT.package, "data"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True)
    monkeypatch.chdir(folder)
    assert written() == here


def test_another_seed_gives_another_split(split):
    one, other = (set(split("--set", f"seed={seed}")["test"]["text"]) for seed in (13, 14))
    assert one != other


def test_csv_jsonl_and_parquet_give_the_same_split(given, split, notes):
    found = []
    for name in ("notes.csv", "notes.jsonl", "notes.parquet"):
        given("", name, group_column="reporter")
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
    given(notes.head(120).to_csv(index=False), test_source="official.csv")
    parts = split()
    assert sorted(parts["test"]["text"]) == sorted(notes["note"].tail(40))
    rest = pd.concat([parts["train"], parts["valid"]])["text"]
    assert sorted(rest) == sorted(notes["note"].head(104))
    assert manifest().dropped["in_test_source"] == 16
    assert set(parts["valid"]["label"]) == set(LABELS)


def test_groups_of_an_official_test_file_are_not_trained_on(given, split, notes):
    theirs = notes["reporter"].isin(notes["reporter"].unique()[:8])
    official = theirs & (notes.index < 100)
    notes[official].to_csv("official.csv", index=False)
    columns = {"group_column": "reporter", "test_source": "official.csv"}
    given(notes[~official].to_csv(index=False), **columns)
    parts = split()
    assert len(parts["test"]) == official.sum()
    assert manifest().dropped["in_test_source"] == (theirs & ~official).sum() > 0
    for name in ("train", "valid"):
        assert not set(parts[name]["group"]) & set(notes["reporter"][theirs])


def test_an_official_test_file_is_checked_like_the_source(given, rejection, notes):
    given(notes.head(100).to_csv(index=False), test_source="official.csv")
    [line] = rejection("data")
    assert line == "error: data.test_source: there is no file official.csv"
    Path("official.csv").write_text("note,team\n,garden\ntap,plumbing\n", encoding="utf-8")
    assert "data.text_column 'note' of official.csv: 1 row (line 2: '')" in rejection("data")[0]
    unheard = notes.tail(44).replace({"team": {"garden": "unheard of"}})
    unheard.to_csv("official.csv", index=False)
    assert "unheard of" in rejection("data")[0]


def test_data_is_downloaded_once_if_its_hash_is_pinned(configure, split, notes, server):
    content = notes.to_csv(index=False).encode()
    server.files["/open/data.csv"] = content
    pin = hashlib.sha256(content).hexdigest()
    configure({"data.source": f"{server.url}/open/data.csv", "data.sha256": pin})
    parts = split()
    assert sum(map(len, parts.values())) == len(notes)
    asked = len(server.requests)
    split()
    assert len(server.requests) == asked


def test_the_hash_of_a_file_that_is_not_pinned_is_printed(run, configure):
    source = Path(configure().data.source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() in run("data").out


def test_a_rejected_file_leaves_the_last_split_as_it_was(split, rejection):
    split()
    before = written()
    rejection("data", "--set", "data.text_column=body")
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
    assert manifest().dropped["near_duplicates_in_train"] > 0


def test_without_a_similarity_near_duplicates_stay(given, run, notes):
    again = notes.assign(note=notes["note"].str.upper())
    given(pd.concat([notes, again]).to_csv(index=False))
    assert run("data").code == 0
    assert sum(len(read_split(name)) for name in SPLITS) == 2 * len(notes)
