"""Scores of rankings, compared with plain loops and with scikit-learn."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from retrieval import toy
from sklearn.metrics import ndcg_score

from portfolio_kit.retrieval import scores
from portfolio_kit.retrieval.collection import Collection
from portfolio_kit.retrieval.documents import Document

DOCUMENTS = [f"document {number}" for number in range(300)]


def ndcg(grades, ranking, depth=10):
    """Järvelin and Kekäläinen (2002): a document's gain is its grade."""
    found = [grades.get(document, 0) for document in ranking[:depth]]
    best = sorted(grades.values(), reverse=True)[:depth]
    gains = [
        sum(grade / math.log2(place + 1) for place, grade in enumerate(each, start=1))
        for each in (found, best)
    ]
    return gains[0] / gains[1]


def reciprocal_rank(grades, ranking, depth=10):
    for rank, document in enumerate(ranking[:depth], start=1):
        if grades.get(document, 0) > 0:
            return 1 / rank
    return 0.0


def recall(grades, ranking, depth):
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant & set(ranking[:depth])) / len(relevant)


def table(grades):
    """Return judgements as the splits hold them."""
    rows = [(q, d, grade) for q, found in grades.items() for d, grade in found.items()]
    return pd.DataFrame(rows, columns=["query_id", "document_id", "relevance"])


def at_random(seed):
    """Return grades from 0 to 3 and rankings of up to a hundred documents."""
    random = np.random.default_rng(seed)
    grades, rankings = {}, {}
    for query in random.permutation(30).astype(str).tolist():
        judged = random.choice(DOCUMENTS, size=random.integers(1, 40), replace=False).tolist()
        grades[query] = dict(zip(judged, random.integers(0, 4, len(judged)).tolist(), strict=True))
        grades[query][judged[0]] = 1  # at least one is relevant
        ranking = random.permutation(DOCUMENTS).tolist()
        good = [document for document in judged if random.random() < 0.5]
        ranking = list(dict.fromkeys([*ranking[:3], *good, *ranking]))
        rankings[query] = ranking[: random.choice([0, 1, 5, 50, scores.DEPTH])]
    return grades, rankings


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_those_of_plain_loops(seed):
    grades, rankings = at_random(seed)
    found = scores.by_query(table(grades), rankings)
    expected = [
        (
            ndcg(grades[query], rankings[query]),
            reciprocal_rank(grades[query], rankings[query]),
            recall(grades[query], rankings[query], 10),
            recall(grades[query], rankings[query], 100),
        )
        for query in grades
    ]
    assert list(found) == ["ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100"]
    np.testing.assert_allclose(found.to_numpy(), expected, atol=1e-6)
    assert (np.ptp(found, axis=0) > 0.3).all(), "they would not tell a right score from a wrong one"
    assert (found["recall_at_100"] > found["recall_at_10"]).any()


@pytest.mark.parametrize("seed", range(10))
def test_ndcg_is_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    documents = DOCUMENTS[: scores.DEPTH]
    relevance = random.choice(4, size=(20, len(documents)), p=[0.8, 0.1, 0.06, 0.04])
    relevance[:, 0] = 1
    similarity = random.normal(size=relevance.shape) + relevance
    order = np.argsort(-similarity, axis=1)
    queries = list(map(str, range(len(relevance))))
    grades = {
        query: dict(zip(documents, row, strict=True))
        for query, row in zip(queries, relevance, strict=True)
    }
    rankings = {
        query: [documents[place] for place in row]
        for query, row in zip(queries, order, strict=True)
    }
    found = scores.by_query(table(grades), rankings)["ndcg_at_10"]
    expected = [
        ndcg_score([truth], [score], k=10)
        for truth, score in zip(relevance, similarity, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_have_the_order_of_the_judgements():
    ids = ["10", "9", "b", "a", "1"]
    grades = {query: {"x": 1} for query in ids}
    rankings = {query: ["x"] for query in sorted(ids)}
    assert scores.by_query(table(grades), rankings).index.tolist() == ids


def test_a_query_for_which_nothing_was_found_scores_zero():
    grades = {"found": {"x": 1}, "empty": {"x": 2}, "unasked": {"x": 1}}
    found = scores.by_query(table(grades), {"found": ["x"], "empty": []})
    assert (found.loc["found"] == 1).all()
    assert (found.loc[["empty", "unasked"]] == 0).all(axis=None)
    nothing = scores.by_query(table(grades), {query: [] for query in grades})
    assert nothing.index.tolist() == list(grades)
    assert (nothing == 0).all(axis=None)


def test_the_rank_counts_down_to_the_last_document():
    """The hundredth document still counts; the eleventh does not in a measure at 10."""
    for place, expected in ((10, [1 / math.log2(11), 0.1, 1, 1]), (11, [0, 0, 0, 1])):
        ranking = [f"other {number}" for number in range(scores.DEPTH)]
        ranking[place - 1] = "x"
        [row] = scores.by_query(table({"q": {"x": 2}}), {"q": ranking}).to_numpy()
        np.testing.assert_allclose(row, expected, atol=1e-6)
    ranking = [*ranking[:10], *ranking[11:], "x"]
    [row] = scores.by_query(table({"q": {"x": 2}}), {"q": ranking}).to_numpy()
    assert row.tolist() == [0, 0, 0, 1]


def test_a_document_judged_irrelevant_gains_nothing():
    grades = {"q": {"bad": 0, "good": 1}}
    [row] = scores.by_query(table(grades), {"q": ["bad", "good"]}).to_numpy()
    np.testing.assert_allclose(row, [1 / math.log2(3), 0.5, 1, 1], atol=1e-6)


def test_means_are_over_the_queries():
    grades = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}, "d": {"x": 1}}
    found = scores.by_query(table(grades), {"a": ["x"], "b": ["y", "x"], "c": []})
    means = scores.means(found)
    assert means["mrr_at_10"] == pytest.approx((1 + 0.5) / 4)
    assert means["recall_at_10"] == pytest.approx(0.5)
    assert {type(value) for value in means.values()} == {float}


def test_each_mode_is_ranked_by_what_it_finds(corpus, write_params):
    stored = [Document(one["_id"], one["title"], one["text"]) for one in corpus]
    manifest = toy.write(Path("models"), stored)
    collection = Collection(Path("models"), manifest, write_params({}).serve, toy.embed)
    queries = {"q1": "My kitchen tap drips all night.", "q2": "Who clears the snow?"}
    vectors = np.stack([toy.vector_of(toy.tokens(query)) for query in queries.values()])
    parts = collection.index, collection.words, collection.documents
    rankings = scores.rank(*parts, queries, vectors)
    assert list(rankings) == ["dense", "bm25", "hybrid"]
    for mode, found in rankings.items():
        assert list(found) == list(queries)
        for (query_id, query), vector in zip(queries.items(), vectors, strict=True):
            hits = collection.search(query, vector, scores.DEPTH, mode)
            assert found[query_id] == [hit.document.id for hit in hits]
            assert len(set(found[query_id])) == len(found[query_id])
    assert {len(ranking) for ranking in rankings["dense"].values()} == {40}  # all there are


def ndcg_of_modes(dense, bm25, hybrid):
    return {"dense": dense, "bm25": bm25, "hybrid": hybrid}


@pytest.mark.parametrize(
    ("fine_tuned", "pretrained", "expected"),
    [
        ((0.7, 0.4, 0.6), (0.5, 0.4, 0.5), ("fine_tuned", "dense")),
        ((0.3, 0.4, 0.35), (0.5, 0.4, 0.6), ("pretrained", "hybrid")),
        ((0.3, 0.4, 0.35), (0.5, 0.4, 0.45), ("pretrained", "dense")),
        ((0.3, 0.6, 0.5), (0.2, 0.6, 0.5), ("fine_tuned", "bm25")),
        ((0.2, 0.6, 0.5), (0.3, 0.6, 0.5), ("pretrained", "bm25")),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), ("fine_tuned", "dense")),
        ((0.4, 0.5, 0.5), (0.4, 0.5, 0.5), ("fine_tuned", "bm25")),
    ],
)
def test_the_best_encoder_and_mode_are_chosen_together(fine_tuned, pretrained, expected):
    found = {"fine_tuned": ndcg_of_modes(*fine_tuned), "pretrained": ndcg_of_modes(*pretrained)}
    assert scores.choose(found) == expected
    encoder, mode = expected
    assert found[encoder][mode] >= max(pretrained), "training never makes it worse"


def test_without_training_the_mode_alone_is_chosen():
    assert scores.choose({"pretrained": ndcg_of_modes(0.1, 0.2, 0.3)}) == ("pretrained", "hybrid")
