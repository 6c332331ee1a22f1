"""Answers with the most probable labels only."""

import pytest
from fastapi import HTTPException

from portfolio_kit.classification.most_probable import check_top_k, most_probable

ANSWER = {"label": "b", "probabilities": {"a": 0.2, "b": 0.4, "c": 0.4}, "more": 1}


def test_the_most_probable_come_first_and_ties_stay_in_order():
    [two] = most_probable([ANSWER], 2)
    assert [*two["probabilities"].items()] == [("b", 0.4), ("c", 0.4)]
    assert (two["label"], two["more"]) == ("b", 1)
    assert len(ANSWER["probabilities"]) == 3  # what is logged stays whole


def test_nothing_is_left_out_unless_asked_for():
    assert most_probable([ANSWER], None) == [ANSWER]


@pytest.mark.parametrize("top_k", [None, 1, 77])
def test_as_many_as_there_are_may_be_asked_for(top_k):
    check_top_k(top_k, 77)


def test_more_are_a_422_that_says_how_many_there_are():
    with pytest.raises(HTTPException) as error:
        check_top_k(78, 77)
    assert error.value.status_code == 422
    [problem] = error.value.detail
    assert problem["loc"] == ["body", "top_k"]
    assert "at most 77" in problem["msg"]
