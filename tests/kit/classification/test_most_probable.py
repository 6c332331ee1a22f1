"""Answers with the most probable labels only."""

import pytest

from portfolio_kit.classification.most_probable import most_probable

ANSWER = {"label": "b", "probabilities": {"a": 0.2, "b": 0.4, "c": 0.4}, "more": 1}


def test_the_most_probable_come_first_and_ties_stay_in_order():
    [two] = most_probable([ANSWER], 2)
    assert [*two["probabilities"].items()] == [("b", 0.4), ("c", 0.4)]
    assert (two["label"], two["more"]) == ("b", 1)
    assert len(ANSWER["probabilities"]) == 3  # what is logged stays whole


def test_nothing_is_left_out_unless_asked_for():
    assert most_probable([ANSWER], None) == [ANSWER]


@pytest.mark.parametrize("top_k", [3, 4, 10**30])
def test_more_than_there_are_returns_all_in_order(top_k):
    [whole] = most_probable([ANSWER], top_k)
    assert [*whole["probabilities"]] == ["b", "c", "a"]
