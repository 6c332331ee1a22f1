"""The best of many scores, and rankings fused into one, compared with sums done by hand."""

import numpy as np
import pytest

from portfolio_kit.retrieval.ranking import best, reciprocal_rank


def fused(*rankings, count=10):
    documents, scores = reciprocal_rank([np.array(ranking) for ranking in rankings], count)
    return documents.tolist(), scores.tolist()


def test_scores_are_sums_of_reciprocal_ranks():
    documents, scores = fused([7, 3, 5], [3, 9])
    # 3: second and first. 7: first. 9: second. 5: third.
    assert documents == [3, 7, 9, 5]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_second_in_both_rankings_beats_first_in_one():
    assert fused([1, 2], [3, 2])[0][0] == 2


def test_ties_go_to_the_lower_number():
    assert fused([8, 2], [2, 8])[0] == [2, 8]
    assert fused([9], [4])[0] == [4, 9]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_at_most_count_are_kept(count):
    assert fused([7, 3, 5], [3, 9], count=count)[0] == [3, 7, 9, 5][:count]


def test_a_single_ranking_keeps_its_order_and_none_gives_nothing():
    assert fused([5, 1, 3], [])[0] == [5, 1, 3]
    assert fused([], []) == ([], [])
    assert reciprocal_rank([np.empty(0, dtype=np.int64)], 5)[0].dtype == np.int64


@pytest.mark.parametrize("count", [1, 2, 5, 6, 100])
def test_the_best_are_the_highest_and_ties_go_to_the_first(count):
    random = np.random.default_rng(5)
    for _ in range(200):
        scores = random.integers(0, 4, size=6).astype(np.float32)
        expected = sorted(range(6), key=lambda place: (-scores[place], place))[:count]
        places, values = best(scores, count)
        assert places.tolist() == expected
        np.testing.assert_array_equal(values, scores[expected])
        above, _ = best(scores, count, above=1.0)
        assert above.tolist() == [place for place in expected if scores[place] > 1]
