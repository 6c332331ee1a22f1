"""The routes that search and that change documents: what they take, answer and refuse."""

import json
import math
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import uvicorn
from api_fixtures import ready_client

from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.serving.predictor import Item, Predictor, Question

JSON = {"Content-Type": "application/json"}
ODD = "\ud800"  # half of a pair: JSON can spell it, UTF-8 cannot
KITE = {"id": "kite", "title": "Flying kites", "text": "A kite climbs best in a steady breeze."}


@pytest.fixture
def serve(trained, configure):
    """Start the API with its changes in this test's folder; return a client."""
    with ExitStack() as stack:

        def serve(models=trained.folder / "models", **settings):
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
    with ready_client(params, trained.folder / "models") as client:
        yield client


def search(client, query, **more):
    answer = client.post("/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def put(client, *documents):
    answer = client.post("/documents", json={"documents": documents})
    assert answer.status_code == 200, answer.text
    return answer.json()["ids"]


def address(document_id):
    return f"/documents/{quote(document_id, safe='')}"


def is_there(client, document_id):
    status = client.get(address(document_id)).status_code
    assert status in (200, 404)
    return status == 200


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


def test_for_a_search_by_words_no_query_is_embedded(predictor, monkeypatch):
    embedded, embed = [], predictor.embed

    def record(ids):
        embedded.extend(ids)
        return embed(ids)

    monkeypatch.setattr(predictor.collection, "mode", "bm25")
    monkeypatch.setattr(predictor, "embed", record)
    query, [passage] = "My kitchen tap drips all night.", predictor.tokens(["A passage to store."])
    results, vector = predictor.answer(predictor.prepare([Question(query, 10), Item(passage)]))
    assert embedded == [passage]
    assert vector == pytest.approx(embed([passage])[0], abs=1e-6)
    hits = predictor.collection.search(query, None, 10, "bm25")
    assert ids(results) == [hit.document.id for hit in hits]


@pytest.mark.parametrize(("k", "count"), [(1, 1), (3, 3), (40, 40), (100, 40)])
def test_so_many_documents_are_returned_as_there_are_and_were_asked_for(k, count, reader):
    results = search(reader, "Who clears the snow?", k=k)
    assert len(set(ids(results))) == len(results) == count
    assert ids(results)[:3] == ids(search(reader, "Who clears the snow?"))[:count][:3]


def test_matched_words_stand_as_the_document_has_them(reader):
    [tap] = search(reader, "My TAP drips, and the tap leaks!", k=1)
    assert tap["matched"] == ["Dripping", "drips", "leaks", "tap", "taps"]
    [snow] = search(reader, "is the of", k=40)[:1]
    assert snow["matched"] == []


def test_a_document_finds_its_likes_by_the_mean_of_its_passages_and_not_itself(
    reader, predictor, corpus
):
    answer = reader.post("/search", json={"document_id": "jam", "k": 5})
    assert answer.status_code == 200
    stored = predictor.collection.vectors
    vectors = [stored.of_document(row) for row in range(len(corpus))]
    names = [one["_id"] for one in corpus]
    mean = vectors[names.index("jam")].mean(axis=0)
    scores = np.array([(each @ mean).max() / np.linalg.norm(mean) for each in vectors])
    order = [row for row in np.argsort(-scores) if names[row] != "jam"][:5]
    results = answer.json()["results"]
    assert ids(results) == [names[row] for row in order]
    assert [one["score"] for one in results] == pytest.approx(scores[order].tolist(), abs=1e-3)
    assert all(one["matched"] == [] for one in results)
    everything = reader.post("/search", json={"document_id": "jam", "k": 100}).json()["results"]
    assert sorted([*ids(everything), "jam"]) == sorted(names)


@pytest.mark.parametrize("document_id", ["nope", "TAP", "tap ", "é🚰"])
def test_the_likes_of_a_document_that_is_not_there_are_a_404(document_id, reader):
    answer = reader.post("/search", json={"document_id": document_id})
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"There is no document {document_id!r}."}


@pytest.mark.parametrize("query", ["x", " ", "\x00", "🚰", "</script>", "'; DROP x", "x" * 10_000])
def test_any_query_of_a_character_or_more_is_answered(query, reader):
    search(reader, query)


EITHER = 'Value error, give either "query" or "document_id"'


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        ({}, "body", EITHER),
        ({"query": "tap", "document_id": "tap"}, "body", EITHER),
        ({"query": None, "document_id": None}, "body", EITHER),
        ({"k": 3}, "body", EITHER),
        ({"query": ""}, "body.query", "at least 1 character"),
        ({"query": "x" * 10_001}, "body.query", "at most 10000 characters"),
        ({"query": 7}, "body.query", "valid string"),
        ({"query": ["tap"]}, "body.query", "valid string"),
        ({"query": ODD}, "body.query", "unicode"),
        ({"document_id": ""}, "body.document_id", "at least 1 character"),
        ({"document_id": "x" * 201}, "body.document_id", "at most 200 characters"),
        ({"document_id": f"tap{ODD}"}, "body.document_id", "unicode"),
        ({"query": "tap", "k": 0}, "body.k", "greater than or equal to 1"),
        ({"query": "tap", "k": 101}, "body.k", "less than or equal to 100"),
        ({"query": "tap", "k": -(10**30)}, "body.k", "greater than or equal to 1"),
        ({"query": "tap", "k": 2.5}, "body.k", "integer"),
        ({"query": "tap", "k": None}, "body.k", "integer"),
        ({"query": "tap", "k": True}, "body.k", "integer"),
        ([], "body", "dictionary"),
        (None, "body", "dictionary"),
        ("tap", "body", "dictionary"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_search_that_does_not_fit_gets_a_422_that_names_the_field(body, where, why, reader):
    refused(reader.post("/search", content=json.dumps(body), headers=JSON), where, why)


def refused(answer, where, why):
    assert answer.status_code == 422, answer.text
    problems = answer.json()["detail"]
    assert all(set(problem) == {"loc", "msg"} for problem in problems)
    [reason] = [problem["msg"] for problem in problems if ".".join(problem["loc"]) == where]
    assert why in reason


EMPTY = 'Value error, "title" and "text" are both empty; there is nothing to find'
UNWRITABLE = 'Value error, "metadata" is nested too deeply, or no Unicode'
FIRST = "body.documents.0"


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ({"id": ""}, f"{FIRST}.id", "at least 1 character"),
        ({"id": "x" * 201}, f"{FIRST}.id", "at most 200 characters"),
        ({"id": "a\nb"}, f"{FIRST}.id", "match pattern"),
        ({"id": "a\x00"}, f"{FIRST}.id", "match pattern"),
        ({"id": 7}, f"{FIRST}.id", "valid string"),
        ({"id": ODD}, f"{FIRST}.id", "unicode"),
        ({"title": "x" * 1_001}, f"{FIRST}.title", "at most 1000 characters"),
        ({"title": None}, f"{FIRST}.title", "valid string"),
        ({"title": ODD}, f"{FIRST}.title", "unicode"),
        ({"text": "x" * 50_001}, f"{FIRST}.text", "at most 50000 characters"),
        ({"text": f"x{ODD}"}, f"{FIRST}.text", "unicode"),
        ({"text": ["x"]}, f"{FIRST}.text", "valid string"),
        ({"title": "", "text": ""}, FIRST, EMPTY),
        ({"title": " \n", "text": "\t\u2003"}, FIRST, EMPTY),
        ({"metadata": None}, f"{FIRST}.metadata", "dictionary"),
        ({"metadata": ["x"]}, f"{FIRST}.metadata", "dictionary"),
        ({"metadata": {ODD: 1}}, FIRST, "no Unicode"),
        ({"metadata": {"x": ODD}}, FIRST, UNWRITABLE),
        ({"metadata": {"x": [{"y": {ODD: 1}}]}}, FIRST, UNWRITABLE),
        ({"metadata": {"x": json.loads("[" * 500 + "]" * 500)}}, FIRST, UNWRITABLE),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_document_that_does_not_fit_gets_a_422_that_names_the_field(change, where, why, client):
    """And nothing is written of those beside it either."""
    body = {"documents": [{**KITE, **change}, {**KITE, "id": "other"}]}
    refused(client.post("/documents", content=json.dumps(body), headers=JSON), where, why)
    assert not is_there(client, "other")
    assert len(search(client, "kite", k=100)) == 40


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        ({}, "body.documents", "required"),
        ({"documents": []}, "body.documents", "at least 1 item"),
        ({"documents": [KITE] * 65}, "body.documents", "at most 64 items"),
        ({"documents": KITE}, "body.documents", "valid list"),
        ({"documents": ["kite"]}, "body.documents.0", "dictionary"),
        ({"documents": [KITE, {"text": "no id"}]}, "body.documents.1.id", "required"),
        ([KITE], "body", "dictionary"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_no_list_of_documents_gets_a_422_that_names_the_field(body, where, why, client):
    refused(client.post("/documents", content=json.dumps(body), headers=JSON), where, why)


@pytest.mark.parametrize("route", ["/search", "/documents"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"tap",
        b'{"query": "tap"',
        b'{"query": "caf\xe9"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"documents": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"query": "tap", "k": ' + b"9" * 5_000 + b"}",
        b'{"query": "tap", "k": NaN}',
    ],
    ids=lambda content: ascii(content[:20]),
)
def test_what_is_no_json_or_no_body_of_ours_gets_a_422(content, route, client):
    answer = client.post(route, content=content, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_kind_gets_a_422(kind, reader):
    headers = {"Content-Type": kind} if kind else {}
    answer = reader.post("/search", content=b'{"query": "tap"}', headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize("route", ["/search", "/documents"])
def test_more_than_a_megabyte_gets_a_413(route, client):
    document = {"id": "x", "text": "x" * 50_000}
    answer = client.post(route, json={"query": "x", "documents": [document] * 20})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "route"),
    [("GET", "/search"), ("DELETE", "/search"), ("GET", "/documents"), ("PUT", "/documents/tap")],
)
def test_other_methods_are_not_allowed(method, route, client):
    assert client.request(method, route).status_code == 405


def test_the_documentation_describes_the_requests(reader):
    schema = reader.get("/openapi.json").json()
    kinds = schema["components"]["schemas"]
    k = kinds["SearchRequest"]["properties"]["k"]
    assert (k["minimum"], k["maximum"], k["default"]) == (1, 100, 10)
    documents = kinds["DocumentsRequest"]["properties"]["documents"]
    assert (documents["minItems"], documents["maxItems"]) == (1, 64)
    document = kinds["Document"]["properties"]
    assert document["id"]["maxLength"] == 200
    assert document["text"]["maxLength"] == 50_000
    assert set(schema["paths"]["/documents/{id}"]) == {"get", "delete"}


def test_an_added_document_is_found_returned_and_gone_when_deleted(client):
    assert put(client, KITE) == ["kite"]
    assert ids(search(client, "kites in the breeze"))[0] == "kite"
    assert client.get("/documents/kite").json() == {**KITE, "metadata": {}}
    answer = client.delete("/documents/kite")
    assert (answer.status_code, answer.json()) == (200, {"ids": ["kite"]})
    assert "kite" not in ids(search(client, "kites in the breeze", k=100))
    for answer in (client.get("/documents/kite"), client.delete("/documents/kite")):
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no document 'kite'."}


def test_a_document_of_the_training_can_be_deleted_and_added_again(client, corpus):
    text = {key: corpus[0][key] for key in ("title", "text")}
    assert client.get("/documents/tap").json() == {"id": "tap", **text, "metadata": {}}
    assert client.delete("/documents/tap").status_code == 200
    assert not is_there(client, "tap")
    assert client.post("/search", json={"document_id": "tap"}).status_code == 404
    found = search(client, "My kitchen tap drips all night.", k=100)
    assert len(found) == 39
    assert "tap" not in ids(found)
    put(client, {"id": "tap", **text})
    assert ids(search(client, "My kitchen tap drips all night."))[0] == "tap"


@pytest.mark.parametrize("document_id", ["tap", "kite"], ids=["of the training", "added"])
def test_a_document_can_be_replaced(document_id, client):
    put(client, {**KITE, "id": document_id})
    put(client, {"id": document_id, "text": "The sundial tells noon by its shadow."})
    found = search(client, "sundial", k=100)
    assert ids(found).count(document_id) == 1
    assert found[0]["id"] == document_id
    assert found[0]["title"] == ""
    [old] = [one for one in search(client, "kite", k=100) if one["id"] == document_id]
    assert old["matched"] == []


def test_of_several_documents_of_one_id_the_last_counts(client):
    versions = [{**KITE, "text": f"version {number}"} for number in range(3)]
    assert put(client, *versions[:2], {**KITE, "id": "other"}, versions[2]) == ["kite", "other"]
    assert client.get("/documents/kite").json()["text"] == "version 2"
    assert ids(search(client, "kite", k=100)).count("kite") == 1


ODD_IDS = ["a/b", "/a//b/", "a b", " ", "é🚰", "a?b=c#d", "a&b;c", "100%", "a\\b", "..a", "x" * 200]


def test_an_id_may_be_any_text(client):
    documents = [{**KITE, "id": one, "title": f"title {n}"} for n, one in enumerate(ODD_IDS)]
    assert put(client, *documents) == ODD_IDS
    for document in documents:
        answer = client.get(address(document["id"]))
        assert answer.json() == {**document, "metadata": {}}, document["id"]
        likes = client.post("/search", json={"document_id": document["id"], "k": 100})
        assert len(likes.json()["results"]) == 40 + len(ODD_IDS) - 1
        assert document["id"] not in ids(likes.json()["results"])
    for document_id in ODD_IDS:
        assert client.delete(address(document_id)).json() == {"ids": [document_id]}
        assert not is_there(client, document_id)
    assert len(search(client, "kite", k=100)) == 40


def test_slashes_of_an_id_may_stand_in_the_address_as_they_are(client):
    put(client, {**KITE, "id": "team/a/kite"})
    assert client.get("/documents/team/a/kite").json()["id"] == "team/a/kite"
    assert client.delete("/documents/team/a/kite").status_code == 200


@pytest.mark.parametrize("document_id", ["", "x" * 201])
def test_an_address_without_an_id_of_a_document_gets_a_422(document_id, client):
    for method in ("GET", "DELETE"):
        answer = client.request(method, f"/documents/{document_id}")
        refused(answer, "path.id", "character")


def test_metadata_is_kept(client):
    metadata = {"née": ["Zoë", 1, 2.5, None, True, {"nested": {}}], "n": 2**70, "": "\x00"}
    put(client, {**KITE, "metadata": metadata})
    assert client.get("/documents/kite").json()["metadata"] == metadata
    assert "metadata" not in search(client, "kite", k=1)[0]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_a_number_that_is_none_is_null(number, client):
    body = json.dumps({"documents": [{**KITE, "metadata": {"x": "HERE"}}]})
    body = body.replace('"HERE"', number)
    assert client.post("/documents", content=body, headers=JSON).status_code == 200
    assert client.get("/documents/kite").json()["metadata"] == {"x": None}


def test_the_deepest_metadata_that_is_taken_is_returned(client):
    statuses = set()
    for depth in range(150, 300, 5):
        nested = json.loads("[" * depth + "]" * depth)
        body = {"documents": [{**KITE, "id": f"kite {depth}", "metadata": {"x": nested}}]}
        status = client.post("/documents", json=body).status_code
        if status == 200:
            assert client.get(address(f"kite {depth}")).json()["metadata"] == {"x": nested}
        statuses.add(status)
    assert statuses == {200, 422}


def test_unknown_fields_are_left_out(client):
    put(client, {**KITE, "tags": ["toy"], "Title": "no title"})
    assert client.get("/documents/kite").json() == {**KITE, "metadata": {}}
    assert search(client, "kite", k=1, mode="dense", limit=3)[0]["id"] == "kite"


def test_a_title_or_a_text_is_enough(client):
    put(client, {"id": "title", "title": "Sundial"}, {"id": "text", "text": "Sundials at noon."})
    assert set(ids(search(client, "sundial", k=2))) == {"title", "text"}


def test_the_likes_of_an_added_document_are_those_of_the_same_one_of_the_training(client, corpus):
    put(client, {"id": "copy", "title": corpus[0]["title"], "text": corpus[0]["text"]})
    of_copy, of_tap = (
        client.post("/search", json={"document_id": one, "k": 6}).json()["results"]
        for one in ("copy", "tap")
    )
    assert ids(of_copy)[0] == "tap"
    assert ids(of_tap)[0] == "copy"
    assert ids(of_copy)[1:] == ids(of_tap)[1:]
    assert of_copy[0]["score"] == pytest.approx(of_tap[0]["score"], abs=1e-3)


def test_the_largest_request_there_may_be_is_answered(client):
    documents = [{"id": f"{n}", "text": "kite breeze " * 1_200} for n in range(64)]
    assert len(put(client, *documents)) == 64
    assert len(search(client, "kite", k=100)) == 100


@pytest.mark.parametrize("changes", ["changes/documents.sqlite", "deep/er/x.db"])
def test_changes_survive_a_restart(changes, trained, configure):
    params = configure({"serve.changes": changes})
    with ready_client(params, trained.folder / "models") as client:
        put(client, KITE, {"id": "snow", "text": "An igloo."}, {"id": "gone", "text": "x"})
        for one in ("tap", "gone"):
            client.delete(address(one))
        before = search(client, "kite snow tap", k=100)
    with ready_client(params, trained.folder / "models") as client:
        assert search(client, "kite snow tap", k=100) == before
        assert client.get("/documents/snow").json()["text"] == "An igloo."
        assert [is_there(client, one) for one in ("kite", "tap", "gone")] == [True, False, False]
    assert Path(changes).is_file()


def test_two_servers_of_one_file_of_changes_agree_at_once(serve):
    one, other = serve(), serve()
    put(one, KITE)
    assert search(other, "kite", k=1) == search(one, "kite", k=1)
    assert other.delete("/documents/kite").status_code == 200
    assert not is_there(one, "kite")
    assert "kite" not in ids(search(one, "kite", k=100))


def test_documents_change_beside_a_graph_too(unjudged, serve):
    client = serve(unjudged.folder / "models", retrieval="dense")
    text = "The tide comes in twice a day."
    put(client, {"id": "tide", "text": text}, {"id": "jam", "text": text})
    found = search(client, text, k=100)
    assert set(ids(found[:2])) == {"tide", "jam"}
    assert len(found) == 41 == len(set(ids(found)))
    assert found[0]["score"] == pytest.approx(1, abs=1e-3)
    for one in ("tide", "tap"):
        assert client.delete(address(one)).status_code == 200
    assert not {"tide", "tap"} & set(ids(search(client, text, k=100)))
    assert len(search(client, text, k=100)) == 39


def test_documents_cannot_be_changed_where_there_is_no_file_for_it(reader, workspace):
    requests = [
        ("POST", "/documents", {"documents": [KITE]}),
        ("DELETE", "/documents/tap", None),
        ("DELETE", "/documents/nope", None),
    ]
    for method, route, body in requests:
        answer = reader.request(method, route, json=body)
        assert answer.status_code == 403
        assert answer.json() == {"detail": "serve.changes is null here: documents do not change."}
    assert is_there(reader, "tap")
    assert not Path("changes").exists()


def test_a_file_of_changes_that_cannot_be_written_ends_the_start(trained, configure):
    Path("changes").write_text("no folder")
    with pytest.raises(UserError, match=r"serve\.changes: changes/documents\.sqlite cannot be"):
        Predictor.load(trained.folder / "models", configure().serve)


def unavailable(answer, reason):
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert reason in answer.json()["detail"]


def test_a_disk_without_room_is_a_503_and_changes_nothing(client):
    put(client, KITE)
    writer = client.app.state.predictor.collection._journal._writer
    [(pages,)] = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count={pages}")
    documents = [{"id": f"{n}", "text": "breeze " * 5_000} for n in range(3)]
    answer = client.post("/documents", json={"documents": documents})
    unavailable(answer, "serve.changes: changes/documents.sqlite cannot be used: database or disk")
    assert not any(is_there(client, one["id"]) for one in documents)
    assert ids(search(client, "kite breeze"))[0] == "kite"
    writer.execute(f"PRAGMA max_page_count={10 * pages}")
    put(client, *documents[:1])
    assert is_there(client, "0")


def test_a_delete_that_does_not_reach_the_disk_is_a_503(client, monkeypatch):
    def write(changes):
        raise UserError("serve.changes: x cannot be used: disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor.collection._journal, "write", write)
        unavailable(client.delete("/documents/tap"), "disk I/O error")
    assert is_there(client, "tap")
    assert client.delete("/documents/tap").status_code == 200


def test_an_index_elsewhere_that_does_not_answer_is_a_503(client, monkeypatch):
    def search_elsewhere(vector, count):
        raise UserError("index.qdrant_url: http://there cannot be used: timed out")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor.collection.index, "search", search_elsewhere)
        for body in ({"query": "tap"}, {"document_id": "tap"}):
            unavailable(client.post("/search", json=body), "http://there cannot be used")
        assert is_there(client, "tap")
        put(client, KITE)  # needs no index
    assert ids(search(client, "kite"))[0] == "kite"


def test_documents_beside_a_search_that_fails_get_a_503_too(client, monkeypatch):
    """The model answers both in one batch, and what keeps it from that concerns both."""

    def answer(items):
        raise UserError("index.qdrant_url: http://there cannot be used: timed out")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor, "answer", answer)
        body = {"documents": [KITE]}
        unavailable(client.post("/documents", json=body), "http://there cannot be used")
    assert not is_there(client, "kite")


def test_beyond_a_full_queue_documents_are_refused_whole_or_added_whole(serve, monkeypatch):
    client = serve(max_wait_seconds=0.3)
    predictor = client.app.state.predictor
    answer = predictor.answer

    def slowly(items):
        time.sleep(0.1)
        return answer(items)

    monkeypatch.setattr(predictor, "answer", slowly)
    search(client, "tap")  # so that it is known how slow it is

    def add(number):
        documents = [{"id": f"{number}-{n}", "text": "breeze " * 60} for n in range(3)]
        return client.post("/documents", json={"documents": documents})

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(add, range(12)))
    statuses = {each.status_code for each in answers}
    assert 503 in statuses
    assert statuses <= {200, 503}
    for number, each in enumerate(answers):
        there = {is_there(client, f"{number}-{n}") for n in range(3)}
        assert there == {each.status_code == 200}
        if each.status_code == 503:
            unavailable(each, "Too many requests wait already")
    monkeypatch.setattr(predictor, "answer", answer)
    search(client, "tap")


def test_reading_and_deleting_need_no_place_in_the_queue(client, monkeypatch):
    may_answer = threading.Event()
    predictor = client.app.state.predictor
    answer = predictor.answer
    monkeypatch.setattr(predictor, "answer", lambda items: may_answer.wait(30) and answer(items))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(search, client, "tap", k=100)
        assert is_there(client, "tap")
        assert client.delete("/documents/tap").status_code == 200
        may_answer.set()
        assert len(waiting.result()) == 39


def test_writers_and_searchers_at_once_lose_nothing(serve):
    client = serve(max_wait_seconds=60)
    numbers = ["one", "two", "three", "four"]

    def write(writer):
        for round_ in range(5):
            name = f"zq{writer}{round_}"
            put(client, {"id": name, "text": f"{name} flies"}, {"id": f"{name}b", "text": name})
            assert set(ids(search(client, name, k=2))) == {name, f"{name}b"}
            assert client.delete(address(f"{name}b")).status_code == 200
            found = search(client, name, k=100)
            assert found[0]["id"] == name
            assert f"{name}b" not in ids(found)
            put(client, {"id": "shared", "text": f"shared {name}"})

    def read(reader):
        for _ in range(20):
            found = ids(search(client, "kitchen tap", k=100))
            assert len(set(found)) == len(found) >= 40
            assert "tap" in found

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(write, one) for one in numbers]
        tasks += [threads.submit(read, one) for one in range(4)]
        for task in tasks:
            task.result()
    there = sorted(ids(search(client, "zq", k=100)))
    expected = [f"zq{writer}{round_}" for writer in numbers for round_ in range(5)]
    assert len(there) == 61
    assert set(there) >= {*expected, "shared"}


@pytest.mark.parametrize(
    ("series", "more"),
    [
        ('searches_total{by="query"}', 2),
        ('searches_total{by="document"}', 1),
        ("search_results_count", 3),
        ("search_results_sum", 2 * 4 + 5),
        ('documents_written_total{how="put"}', 2),
        ('documents_written_total{how="delete"}', 1),
        ("inference_seconds_count", 4),
        ('http_requests_total{route="/documents/{id:path}",status="404"}', 2),
        ('http_requests_total{route="/search",status="404"}', 1),
    ],
)
def test_searches_and_changes_are_counted(series, more, client):
    def count():
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = count()
    for query in ("tap", "snow"):
        search(client, query, k=4)
    client.post("/search", json={"document_id": "tap", "k": 5})
    put(client, KITE, {**KITE, "id": "other"})
    for document_id in ("kite", "kite", "nope"):
        client.delete(address(document_id))
    unknown = client.post("/search", json={"document_id": "kite"})
    assert unknown.status_code == 404
    assert count() >= before + more
    if "inference" not in series:
        assert math.isclose(count(), before + more)


def test_the_model_route_names_the_model_that_answers(reader, predictor):
    model = reader.get("/model").json()
    assert model["model_version"] == predictor.version
    assert model["data_sha256"] == predictor.manifest["data_sha256"]


@pytest.mark.parametrize("name", ["model.onnx", "vectors.npy", "documents.sqlite", "words.json"])
def test_an_altered_artifact_is_not_served(name, trained, refusal, monkeypatch):
    monkeypatch.setattr(uvicorn, "run", lambda *arguments, **settings: pytest.fail("it served"))
    shutil.copytree(trained.folder / "models", "models")
    [path] = Path("models").rglob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for verb in (["serve"], ["predict", "tap"]):
        [line] = refusal(*verb)
        assert name in line
        assert "train" in line
