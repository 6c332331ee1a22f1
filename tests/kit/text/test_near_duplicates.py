"""Near-duplicates, checked by comparing every text with every other."""

import functools
import random
import re

import numpy as np
import pytest

from portfolio_kit.text.near_duplicates import repeats, sign


@pytest.fixture
def texts():
    """Sentences of eight to sixteen words out of forty."""
    chance = random.Random(7)
    words = ["".join(chance.choices("aeinorst", k=chance.randint(2, 8))) for _ in range(40)]
    return [" ".join(chance.choices(words, k=chance.randint(8, 16))) + "." for _ in range(150)]


@functools.cache
def pieces(text):
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    return {plain[i : i + 5] for i in range(max(1, len(plain) - 4))}


def similarity(one, other):
    one, other = pieces(one), pieces(other)
    return len(one & other) / len(one | other)


def alter(text, generator):
    """Replace some words: the result resembles the text more or less."""
    words = text.split()
    for place in generator.sample(range(len(words)), k=generator.randint(0, len(words) // 2)):
        words[place] = generator.choice(["lamp", "often", "kitchen", "seven", "quietly"])
    return " ".join(words)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_that_brute_force_finds(seed, texts):
    generator = random.Random(seed)
    ours = [alter(text, generator) for text in texts]
    closest = np.array([max(similarity(one, other) for other in texts) for one in ours])
    found = repeats(sign(ours), sign(texts), 0.8)
    np.testing.assert_array_equal(found, closest >= 0.8)
    assert 0 < found.mean() < 1


def test_a_near_duplicate_is_found_among_many_that_resemble_it_a_little():
    """A beginning that all share puts them together in many bands."""
    start = "the actor has used a custom protocol over an encrypted channel to talk to "
    numbers = [f"{n:03}" for n in range(300)]
    theirs = [f"{start} its server number {n} in the {n} network, on port {n}{n}" for n in numbers]
    ours = [text.replace("its server", "a server") for text in theirs]
    closest = np.array([max(similarity(one, other) for other in theirs) for one in ours])
    threshold = float(np.quantile(closest, 0.5))
    found = repeats(sign(ours), sign(theirs), threshold)
    assert (found == (closest >= threshold)).mean() > 0.98


def test_the_share_of_equal_places_estimates_the_similarity(texts):
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
def test_case_spacing_and_punctuation_do_not_count(change, texts):
    changed = [change(text) for text in texts]
    np.testing.assert_array_equal(sign(changed).signatures, sign(texts).signatures)


@pytest.mark.parametrize("texts", [[], [""], ["..."], ["水が漏れる", "a", "🚰"]], ids=ascii)
def test_any_text_has_a_signature(texts):
    signed = sign(texts)
    assert repeats(signed, signed, 0.8).tolist() == [True] * len(texts)
    assert repeats(signed, sign([]), 0.8).tolist() == [False] * len(texts)
