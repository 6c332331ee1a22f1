"""The best of many scores, and two rankings fused, compared with sums done by hand."""

import numpy as np
import pytest

from portfolio_kit.retrieval.ranking import best, fuse


def ranking(scores):
    """Return documents' numbers and scores as a search does, from a dictionary, best first."""
    numbers = np.array(list(scores), dtype=np.int64)
    return numbers, np.array(list(scores.values()), dtype=np.float32)


def fused(dense, words, depth=10):
    numbers, scores = fuse(ranking(dense), ranking(words), depth)
    return dict(zip(numbers.tolist(), scores.tolist(), strict=True))


def test_scores_are_weighted_sums_of_scaled_scores():
    found = fused({7: 0.8, 3: 0.6, 5: -0.1}, {3: 12.0, 9: 6.0})
    # A cosine counts from -1, BM25 from 0; 9 has no cosine, 7 and 5 have no word of the query.
    expected = {3: 0.8 * 1.6 / 1.8 + 0.2 * 1.0, 7: 0.8 * 1.0, 5: 0.8 * 0.9 / 1.8, 9: 0.2 * 0.5}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)


def test_beyond_the_end_of_a_ranking_the_last_score_counts():
    """Document 9 may be nearly as near as 3; 7 may have nearly as many words as 9."""
    found = fused({7: 0.8, 3: 0.6}, {9: 12.0, 3: 6.0}, depth=2)
    [first, second] = found.items()
    assert first == (9, pytest.approx(0.8 * 1.6 / 1.8 + 0.2))
    assert second == (7, pytest.approx(0.8 + 0.2 * 0.5))


def test_ties_go_to_the_lower_number():
    assert list(fused({8: 0.5, 2: 0.5}, {})) == [2, 8]
    assert list(fused({}, {9: 1.0, 4: 1.0})) == [4, 9]


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_at_most_depth_are_kept(depth):
    dense = dict.fromkeys(range(depth), 0.5)
    assert len(fused(dense, {20: 1.0}, depth)) == depth


def test_one_ranking_alone_keeps_its_order_and_none_gives_nothing():
    assert list(fused({5: 0.9, 1: 0.2, 3: -0.9}, {})) == [5, 1, 3]
    assert list(fused({}, {5: 3.0, 1: 2.0})) == [5, 1]
    assert fused({}, {}) == {}
    assert fused({4: -1.0}, {}) == {4: 0.0}
    assert fuse(ranking({}), ranking({}), 5)[0].dtype == np.int64


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
