"""Texts that nearly repeat each other, against comparing every text with every other."""

import random
import re

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.data.near_duplicates import repeats, sign
from {{cookiecutter.package_name}}.data.prepare import SPLITS, read_split

COLUMNS = {"text_column": "note", "label_column": "team"}


def pieces(text):
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    return {plain[i : i + 5] for i in range(max(1, len(plain) - 4))}


def similarity(one, other):
    one, other = pieces(one), pieces(other)
    return len(one & other) / len(one | other)


def alter(text, generator):
    """Replace some words, so that the result is more or less like the text."""
    words = text.split()
    for place in generator.sample(range(len(words)), k=generator.randint(0, len(words) // 2)):
        words[place] = generator.choice(["lamp", "often", "kitchen", "seven", "quietly"])
    return " ".join(words)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_comparing_all_with_all(seed, notes):
    generator = random.Random(seed)
    theirs = notes["note"].tolist()
    ours = [alter(text, generator) for text in theirs]
    closest = np.array([max(similarity(one, other) for other in theirs) for one in ours])
    found = repeats(sign(ours), sign(theirs), 0.8)
    np.testing.assert_array_equal(found, closest >= 0.8)
    assert 0 < found.mean() < 1


def test_what_many_resemble_a_little_is_found_all_the_same():
    """One beginning for all puts them together, wherever signatures are looked up."""
    start = "the actor has used a custom protocol over an encrypted channel to talk to "
    numbers = [f"{n:03}" for n in range(300)]
    theirs = [f"{start} its server number {n} in the {n} network, on port {n}{n}" for n in numbers]
    ours = [text.replace("its server", "a server") for text in theirs]
    closest = np.array([max(similarity(one, other) for other in theirs) for one in ours])
    threshold = float(np.quantile(closest, 0.5))
    found = repeats(sign(ours), sign(theirs), threshold)
    assert (found == (closest >= threshold)).mean() > 0.98


def test_the_share_of_equal_places_estimates_the_similarity(notes):
    texts = notes["note"].tolist()
    generator = random.Random(1)
    pairs = [(text, alter(text, generator)) for text in texts]
    estimates = [(one == other).mean() for one, other in (sign(pair).signatures for pair in pairs)]
    errors = np.array(estimates) - [similarity(*pair) for pair in pairs]
    assert abs(errors.mean()) < 0.02
    assert errors.std() < 0.06


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda text: f"  {text.replace(' ', '   ')}", lambda text: text.rstrip(".") + "!!"],
    ids=["case", "spaces", "punctuation"],
)
def test_case_spacing_and_punctuation_do_not_count(change, notes):
    texts = notes["note"].tolist()
    changed = [change(text) for text in texts]
    np.testing.assert_array_equal(sign(changed).signatures, sign(texts).signatures)


@pytest.mark.parametrize("texts", [[], [""], ["..."], ["水が漏れる", "a", "🚰"]], ids=ascii)
def test_any_text_has_a_signature(texts):
    signed = sign(texts)
    assert repeats(signed, signed, 0.8).tolist() == [True] * len(texts)
    assert repeats(signed, sign([]), 0.8).tolist() == [False] * len(texts)


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
    closest = [similarity(one, other) for one in train for other in [*valid, *test]]
    assert max(closest) < 0.6
    assert max(similarity(one, other) for one in valid for other in test) < 0.6
    dropped = artifacts.read_manifest(artifacts.PROCESSED, made_by="data")["dropped"]
    assert dropped["near_duplicates_in_train"] > 0


def test_without_a_similarity_they_stay(given, run, notes):
    again = notes.assign(note=notes["note"].str.upper())
    given(pd.concat([notes, again]).to_csv(index=False), **COLUMNS)
    assert run("data").code == 0
    assert sum(len(read_split(name)) for name in SPLITS) == 2 * len(notes)
