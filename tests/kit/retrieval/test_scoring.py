"""Queries and documents in files."""

import json

import numpy as np
from retrieval import toy

from portfolio_kit.retrieval.scoring import DocumentScorer, QueryScorer
from portfolio_kit.retrieval.settings import Score
from portfolio_kit.scoring import inputs


class Model:
    """Finds as many documents as a query has words, and embeds like the toy."""

    dimensions = toy.DIMENSIONS

    def find(self, texts, k):
        return [
            [{"id": word, "score": 1 / place} for place, word in enumerate(text.split(), 1)]
            for text in texts
        ]

    def embed_documents(self, documents):
        return toy.embed(documents)


def scored(scorer, rows, **settings):
    with open("in.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    files = inputs.find("in.jsonl")
    [(_, part)] = scorer(Model(), inputs.columns(files[0]), Score(**settings)).parts(files, 100)
    return scorer(Model(), inputs.columns(files[0]), Score(**settings)).score(part)


def test_a_query_has_a_row_for_each_document_found_best_first():
    queries = [{"_id": "q1", "text": "red green blue"}, {"_id": "q2", "text": "one"}]
    found = scored(QueryScorer, queries, k=2)
    assert found.table.select(["_id", "rank", "document_id", "score"]).to_pylist() == [
        {"_id": "q1", "rank": 1, "document_id": "red", "score": 1.0},
        {"_id": "q1", "rank": 2, "document_id": "green", "score": 0.5},
        {"_id": "q2", "rank": 1, "document_id": "one", "score": 1.0},
    ]
    assert found.asked == ["red green blue", "one"]
    assert [len(answer) for answer in found.answers] == [3, 1]


def test_a_blank_query_is_rejected():
    found = scored(QueryScorer, [{"text": " "}, {"text": "one"}])
    assert [(one.line, one.reason) for one in found.rejected] == [(1, "'text' is blank")]
    assert found.table.num_rows == 1


def test_a_document_has_a_row_for_each_passage():
    documents = [{"_id": "d1", "title": "t", "text": "one two.three"}, {"_id": "d2", "text": "x"}]
    found = scored(DocumentScorer, documents, vectors=True)
    assert found.table["_id"].to_pylist() == ["d1", "d1", "d2"]
    assert found.table["passage"].to_pylist() == [0, 1, 0]
    vectors = np.array(found.table["vector"].to_pylist(), np.float32)
    expected = [toy.vector_of(toy.tokens(text)) for text in ("one two", "three", "x")]
    assert np.array_equal(vectors, np.stack(expected))


def test_a_document_needs_a_title_or_a_text():
    documents = [{"title": "only", "text": ""}, {"title": "", "text": " "}, {"title": "no text"}]
    found = scored(DocumentScorer, documents)
    assert found.table["line"].to_pylist() == [1, 3]
    assert [one.line for one in found.rejected] == [2]
