"""Several rankings to one, against sums done by hand."""

import numpy as np
import pytest

from {{cookiecutter.package_name}}.retrieval.fusion import reciprocal_rank


def fused(*rankings, count=10):
    documents, scores = reciprocal_rank([np.array(ranking) for ranking in rankings], count)
    return documents.tolist(), scores.tolist()


def test_scores_are_sums_of_reciprocal_ranks():
    documents, scores = fused([7, 3, 5], [3, 9])
    # 3: second and first. 7: first. 9: second. 5: third.
    assert documents == [3, 7, 9, 5]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_what_two_rankings_agree_on_beats_the_first_of_one():
    assert fused([1, 2], [3, 2])[0][0] == 2


def test_among_equals_the_lower_number_comes_first():
    assert fused([8, 2], [2, 8])[0] == [2, 8]
    assert fused([9], [4])[0] == [4, 9]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_at_most_so_many_are_kept(count):
    assert fused([7, 3, 5], [3, 9], count=count)[0] == [3, 7, 9, 5][:count]


def test_one_ranking_stays_as_it_is_and_none_is_nothing():
    assert fused([5, 1, 3], [])[0] == [5, 1, 3]
    assert fused([], []) == ([], [])
    assert reciprocal_rank([np.empty(0, dtype=np.int64)], 5)[0].dtype == np.int64
