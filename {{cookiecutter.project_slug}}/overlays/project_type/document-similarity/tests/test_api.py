"""The API: what a search accepts, answers and rejects, while documents come and go."""

import json
import math
import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from api_fixtures import ready_client

from portfolio_kit.errors import UserError
from portfolio_kit.serving import server

from {{cookiecutter.package_name}}.predictor import Question

JSON = {"Content-Type": "application/json"}
ODD = "\ud800"  # half of a pair: JSON can spell it, UTF-8 cannot
KITE = {"id": "kite", "title": "Flying kites", "text": "A kite climbs best in a steady breeze."}


@pytest.fixture
def serve(trained, configure):
    """Start the API with its changes in this test's folder; return a client."""
    with ExitStack() as stack:

        def serve(models=trained.models, **settings):
            changes = {f"serve.{name}": value for name, value in settings.items()}
            return stack.enter_context(ready_client(configure(changes), models))

        yield serve


@pytest.fixture
def client(serve):
    """A client of the API, with documents that can be changed."""
    return serve()


@pytest.fixture(scope="module")
def reader(trained):
    """A client of the API whose documents do not change."""
    settings = trained.params.serve.model_copy(update={"changes": None})
    params = trained.params.model_copy(update={"serve": settings})
    with ready_client(params, trained.models) as client:
        yield client


def search(client, query, **more):
    answer = client.post("/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def neighbours(client, document_id, k=10):
    answer = client.post("/search", json={"document_id": document_id, "k": k})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def put(client, *documents):
    answer = client.post("/documents", json={"documents": documents})
    assert answer.status_code == 200, answer.text


def ids(results):
    return [result["id"] for result in results]


def test_a_query_is_answered_by_documents_best_first(reader, predictor, corpus):
    query = "My kitchen tap drips all night."
    answer = reader.post("/search", json={"query": query})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"model_version", "results"}
    assert body["model_version"] == predictor.version
    results = body["results"]
    assert len(results) == 10
    assert results[0]["id"] == "tap"
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    documents = {one["_id"]: one for one in corpus}
    [expected] = predictor.predict([query])
    for result, same in zip(results, expected["results"], strict=True):
        assert set(result) == {"id", "score", "title", "text", "matched"}
        document = documents[result["id"]]
        assert (result["title"], result["text"]) == (document["title"], document["text"])
        assert (result["id"], result["matched"]) == (same["id"], same["matched"])
        assert result["score"] == pytest.approx(same["score"], abs=1e-6)


def test_a_search_by_words_embeds_no_query(predictor, monkeypatch):
    embedded, embed = [], predictor.embed

    def record(ids):
        embedded.extend(ids)
        return embed(ids)

    monkeypatch.setattr(predictor.collection, "mode", "bm25")
    monkeypatch.setattr(predictor, "embed", record)
    query, passage = "My kitchen tap drips all night.", [2, 5, 6, 7, 3]
    results, vector = predictor.answer(predictor.prepare([Question(query), passage]))
    assert embedded == [passage]
    assert vector == pytest.approx(embed([passage])[0], abs=1e-6)
    hits = predictor.collection.search(query, None, 10, "bm25")
    assert ids(results) == [hit.document.id for hit in hits]


@pytest.mark.parametrize(("k", "count"), [(1, 1), (3, 3), (40, 40), (100, 40)])
def test_k_documents_are_returned_or_all_there_are(k, count, reader):
    results = search(reader, "Who clears the snow?", k=k)
    assert len(set(ids(results))) == len(results) == count
    assert ids(results)[:3] == ids(search(reader, "Who clears the snow?"))[:count][:3]


def test_matched_words_are_returned_as_the_document_has_them(reader):
    [tap] = search(reader, "My TAP drips, and the tap leaks!", k=1)
    assert tap["matched"] == ["Dripping", "drips", "leaks", "tap", "taps"]
    [snow] = search(reader, "is the of", k=40)[:1]
    assert snow["matched"] == []


def test_neighbours_are_nearest_to_the_mean_of_a_documents_passages(reader, predictor, corpus):
    stored = predictor.collection.vectors
    vectors = [stored.of_document(row) for row in range(len(corpus))]
    names = [one["_id"] for one in corpus]
    mean = vectors[names.index("jam")].mean(axis=0)
    scores = np.array([(each @ mean).max() / np.linalg.norm(mean) for each in vectors])
    order = [row for row in np.argsort(-scores) if names[row] != "jam"][:5]
    results = neighbours(reader, "jam", k=5)
    assert ids(results) == [names[row] for row in order]
    assert [one["score"] for one in results] == pytest.approx(scores[order].tolist(), abs=1e-3)
    assert all(one["matched"] == [] for one in results)
    everything = neighbours(reader, "jam", k=100)
    assert sorted([*ids(everything), "jam"]) == sorted(names)


@pytest.mark.parametrize("document_id", ["nope", "TAP", "tap ", "é🚰"])
def test_neighbours_of_an_unknown_document_are_a_404(document_id, reader):
    answer = reader.post("/search", json={"document_id": document_id})
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"There is no document {document_id!r}."}


@pytest.mark.parametrize("query", ["x", "\x00", "🚰", "</script>", "'; DROP x", "x" * 10_000])
def test_any_query_that_is_not_blank_is_answered(query, reader):
    search(reader, query)


EITHER = 'Value error, give either "query" or "document_id"'


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        ({}, "body", EITHER),
        ({"query": "tap", "document_id": "tap"}, "body", EITHER),
        ({"query": None, "document_id": None}, "body", EITHER),
        ({"query": ""}, "body.query", "at least 1 character"),
        ({"query": " \t\u2003"}, "body.query", "the text is blank"),
        ({"query": "tap", "top": 3}, "body.top", "Extra inputs are not permitted"),
        ({"query": "x" * 10_001}, "body.query", "at most 10000 characters"),
        ({"query": 7}, "body.query", "valid string"),
        ({"query": ODD}, "body.query", "unicode"),
        ({"document_id": ""}, "body.document_id", "at least 1 character"),
        ({"document_id": "x" * 201}, "body.document_id", "at most 200 characters"),
        ({"document_id": f"tap{ODD}"}, "body.document_id", "unicode"),
        ({"query": "tap", "k": 0}, "body.k", "greater than or equal to 1"),
        ({"query": "tap", "k": 101}, "body.k", "less than or equal to 100"),
        ({"query": "tap", "k": 2.5}, "body.k", "integer"),
        ({"query": "tap", "k": None}, "body.k", "integer"),
        ({"query": "tap", "k": True}, "body.k", "integer"),
        ([], "body", "dictionary"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_invalid_search_gets_a_422_that_names_the_field(body, where, why, reader):
    answer = reader.post("/search", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422, answer.text
    problems = answer.json()["detail"]
    assert all(set(problem) == {"loc", "msg"} for problem in problems)
    [reason] = [problem["msg"] for problem in problems if ".".join(problem["loc"]) == where]
    assert why in reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"query": "caf\xe9"}',
        b'{"query": "tap", "k": ' + b"9" * 5_000 + b"}",
        b'{"query": "tap", "k": NaN}',
    ],
    ids=lambda content: ascii(content[:20]),
)
def test_a_body_that_is_not_json_gets_a_422(content, reader):
    answer = reader.post("/search", content=content, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_the_documentation_describes_the_request(reader):
    kinds = reader.get("/openapi.json").json()["components"]["schemas"]
    k = kinds["SearchRequest"]["properties"]["k"]
    assert (k["minimum"], k["maximum"], k["default"]) == (1, 100, 10)


def test_an_added_document_is_found_and_gone_when_deleted(client):
    put(client, KITE)
    assert ids(search(client, "kites in the breeze"))[0] == "kite"
    assert client.get("/documents/kite").json() == {**KITE, "metadata": {}}
    assert client.delete("/documents/kite").status_code == 200
    assert "kite" not in ids(search(client, "kites in the breeze", k=100))
    assert client.get("/documents/kite").status_code == 404


def test_a_document_of_the_training_can_be_deleted_and_added_again(client, corpus):
    text = {key: corpus[0][key] for key in ("title", "text")}
    assert client.get("/documents/tap").json() == {"id": "tap", **text, "metadata": {}}
    assert client.delete("/documents/tap").status_code == 200
    assert client.post("/search", json={"document_id": "tap"}).status_code == 404
    found = search(client, "My kitchen tap drips all night.", k=100)
    assert len(found) == 39
    assert "tap" not in ids(found)
    put(client, {"id": "tap", **text})
    assert ids(search(client, "My kitchen tap drips all night."))[0] == "tap"


def test_an_added_copy_has_the_neighbours_of_its_original(client, corpus):
    put(client, {"id": "copy", "title": corpus[0]["title"], "text": corpus[0]["text"]})
    of_copy, of_tap = (neighbours(client, one, k=6) for one in ("copy", "tap"))
    assert ids(of_copy)[0] == "tap"
    assert ids(of_tap)[0] == "copy"
    assert ids(of_copy)[1:] == ids(of_tap)[1:]
    assert of_copy[0]["score"] == pytest.approx(of_tap[0]["score"], abs=1e-3)


def test_documents_change_next_to_a_graph_as_well(unjudged, serve):
    client = serve(unjudged.models, retrieval="dense")
    text = "The tide comes in twice a day."
    put(client, {"id": "tide", "text": text}, {"id": "jam", "text": text})
    found = search(client, text, k=100)
    assert set(ids(found[:2])) == {"tide", "jam"}
    assert len(found) == 41 == len(set(ids(found)))
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)
    for one in ("tide", "tap"):
        assert client.delete(f"/documents/{one}").status_code == 200
    assert not {"tide", "tap"} & set(ids(search(client, text, k=100)))
    assert len(search(client, text, k=100)) == 39


def test_an_index_elsewhere_that_does_not_answer_is_a_503(client, monkeypatch):
    def search_elsewhere(vector, count):
        raise UserError("index.qdrant_url: http://there cannot be used: timed out")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor.collection.index, "search", search_elsewhere)
        for body in ({"query": "tap"}, {"document_id": "tap"}):
            answer = client.post("/search", json=body)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) >= 1
            assert "http" not in answer.json()["detail"]
        put(client, KITE)  # needs no index
    assert ids(search(client, "kite"))[0] == "kite"


@pytest.mark.parametrize(
    ("series", "more"),
    [
        ('searches_total{by="query"}', 2),
        ('searches_total{by="document"}', 1),
        ("search_results_count", 3),
        ("search_results_sum", 2 * 4 + 5),
        ("inference_seconds_count", 4),
        ('http_requests_total{route="/documents/{id:path}",status="404"}', 1),
        ('http_requests_total{route="/search",status="404"}', 1),
    ],
)
def test_searches_are_counted(series, more, reader):
    def count():
        lines = reader.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = count()
    for query in ("tap", "snow"):
        search(reader, query, k=4)
    neighbours(reader, "tap", k=5)
    assert reader.post("/search", json={"document_id": "nope"}).status_code == 404
    assert reader.get("/documents/nope").status_code == 404
    assert math.isclose(count(), before + more)


@pytest.mark.parametrize("name", ["model.onnx", "vectors.npy", "documents.sqlite", "words.json"])
def test_an_altered_artifact_is_neither_served_nor_evaluated(name, trained, rejection, monkeypatch):
    monkeypatch.setattr(server.Server, "run", lambda *arguments: pytest.fail("it served"))
    for folder in ("models", "data"):
        shutil.copytree(trained.folder / folder, folder)
    [path] = Path("models").rglob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for verb in (["serve"], ["predict", "tap"], ["evaluate"]):
        [line] = rejection(*verb)
        assert name in line
        assert "make train" in line
