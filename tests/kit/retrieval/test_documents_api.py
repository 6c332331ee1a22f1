"""The routes that add, show and delete documents: what they accept, answer and reject."""

import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from live import wait_until_ready
from retrieval import toy

from portfolio_kit.errors import UserError
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.journal import Journal
from portfolio_kit.serving.app import create_app

JSON = {"Content-Type": "application/json"}
ODD = "\ud800"  # half of a pair: JSON can spell it, UTF-8 cannot
KITE = {"id": "kite", "title": "Flying kites", "text": "A kite climbs best in a steady breeze."}
STORED = [Document(f"d{number}", "", f"tap cat snow word{number}") for number in range(40)]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """What a training run leaves of forty documents."""
    folder = tmp_path_factory.mktemp("toy") / "models"
    toy.write(folder, STORED)
    return folder


@pytest.fixture
def serve(models, write_params):
    """Start the API with its changes in this test's folder; return a client."""
    with ExitStack() as stack:

        def serve(**settings):
            app = create_app(toy.PROJECT, write_params(settings), models, is_local=True)
            client = stack.enter_context(TestClient(app, base_url="http://localhost"))
            wait_until_ready(client)
            return client

        yield serve


@pytest.fixture
def client(serve):
    """A client of the API."""
    return serve()


def found(client, text, count=100):
    """Return the ids of the documents that a search by words finds."""
    hits = client.app.state.predictor.collection.search(text, None, count, "bm25")
    return [hit.document.id for hit in hits]


def post(client, *documents):
    return client.post("/documents", json={"documents": documents})


def put(client, *documents):
    answer = post(client, *documents)
    assert answer.status_code == 200, answer.text
    return answer.json()["ids"]


def address(document_id):
    return f"/documents/{quote(document_id, safe='')}"


def is_there(client, document_id):
    status = client.get(address(document_id)).status_code
    assert status in (200, 404)
    return status == 200


def rejected(answer, where, why):
    assert answer.status_code == 422, answer.text
    problems = answer.json()["detail"]
    assert all(set(problem) == {"loc", "msg"} for problem in problems)
    [reason] = [problem["msg"] for problem in problems if ".".join(problem["loc"]) == where]
    assert why in reason


EMPTY = 'Value error, "title" and "text" are both empty; there is nothing to find'
UNWRITABLE = 'Value error, "metadata" is nested too deeply, or not valid Unicode'
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
        ({"metadata": {ODD: 1}}, FIRST, "not valid Unicode"),
        ({"metadata": {"x": ODD}}, FIRST, UNWRITABLE),
        ({"metadata": {"x": [{"y": {ODD: 1}}]}}, FIRST, UNWRITABLE),
        ({"metadata": {"x": json.loads("[" * 500 + "]" * 500)}}, FIRST, UNWRITABLE),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_invalid_document_gets_a_422_that_names_the_field(change, where, why, client):
    """And no other document of that request is written either."""
    body = {"documents": [{**KITE, **change}, {**KITE, "id": "other"}]}
    rejected(client.post("/documents", content=json.dumps(body), headers=JSON), where, why)
    assert not is_there(client, "other")
    assert found(client, "kite") == []


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
def test_a_body_without_a_list_of_documents_gets_a_422_that_names_the_field(
    body, where, why, client
):
    rejected(client.post("/documents", content=json.dumps(body), headers=JSON), where, why)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"documents": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"documents": "\xe9"}'],
    ids=lambda content: ascii(content[:20]),
)
def test_a_body_that_is_not_json_gets_a_422(content, client):
    answer = client.post("/documents", content=content, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_content_type_gets_a_415(kind, client):
    headers = {"Content-Type": kind} if kind else {}
    body = json.dumps({"documents": [KITE]}).encode()
    assert client.post("/documents", content=body, headers=headers).status_code == 415


def test_more_than_a_megabyte_gets_a_413(client):
    assert post(client, *[{"id": "x", "text": "x" * 50_000}] * 20).status_code == 413


@pytest.mark.parametrize(("method", "route"), [("GET", "/documents"), ("PUT", "/documents/d0")])
def test_other_methods_are_not_allowed(method, route, client):
    assert client.request(method, route).status_code == 405


def test_the_documentation_describes_the_requests(client):
    schema = client.get("/openapi.json").json()
    kinds = schema["components"]["schemas"]
    documents = kinds["DocumentsRequest"]["properties"]["documents"]
    assert (documents["minItems"], documents["maxItems"]) == (1, 64)
    document = kinds["Document"]["properties"]
    assert document["id"]["maxLength"] == 200
    assert document["text"]["maxLength"] == 50_000
    assert set(schema["paths"]["/documents/{id}"]) == {"get", "delete"}


def test_an_added_document_is_found_returned_and_gone_when_deleted(client):
    assert put(client, KITE) == ["kite"]
    assert found(client, "kites in the breeze") == ["kite"]
    assert client.get("/documents/kite").json() == {**KITE, "metadata": {}}
    answer = client.delete("/documents/kite")
    assert (answer.status_code, answer.json()) == (200, {"ids": ["kite"]})
    assert found(client, "kites in the breeze") == []
    for answer in (client.get("/documents/kite"), client.delete("/documents/kite")):
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no document 'kite'."}


def test_a_stored_document_can_be_deleted_and_added_again(client):
    text = {"title": "", "text": STORED[7].text}
    assert client.get("/documents/d7").json() == {"id": "d7", **text, "metadata": {}}
    assert client.delete("/documents/d7").status_code == 200
    assert not is_there(client, "d7")
    assert found(client, "word7") == []
    assert len(found(client, "tap")) == 39
    put(client, {"id": "d7", **text})
    assert found(client, "word7") == ["d7"]


@pytest.mark.parametrize("document_id", ["d7", "kite"], ids=["stored", "added"])
def test_a_document_can_be_replaced(document_id, client):
    put(client, {**KITE, "id": document_id})
    put(client, {"id": document_id, "text": "The sundial tells noon by its shadow."})
    assert found(client, "sundial") == [document_id]
    assert found(client, "kite") == []
    assert client.get(address(document_id)).json()["title"] == ""


def test_if_an_id_repeats_the_last_document_counts(client):
    versions = [{**KITE, "text": f"version {number}"} for number in range(3)]
    assert put(client, *versions[:2], {**KITE, "id": "other"}, versions[2]) == ["kite", "other"]
    assert client.get("/documents/kite").json()["text"] == "version 2"
    assert sorted(found(client, "kite")) == ["kite", "other"]


ODD_IDS = ["a/b", "/a//b/", "a b", " ", "é🚰", "a?b=c#d", "a&b;c", "100%", "a\\b", "..a", "x" * 200]


def test_an_id_may_be_any_text(client):
    documents = [{**KITE, "id": one, "title": f"title {n}"} for n, one in enumerate(ODD_IDS)]
    assert put(client, *documents) == ODD_IDS
    assert sorted(found(client, "kite")) == sorted(ODD_IDS)
    for document in documents:
        answer = client.get(address(document["id"]))
        assert answer.json() == {**document, "metadata": {}}, document["id"]
    for document_id in ODD_IDS:
        assert client.delete(address(document_id)).json() == {"ids": [document_id]}
        assert not is_there(client, document_id)
    assert found(client, "kite") == []


def test_slashes_of_an_id_need_no_escape_in_the_address(client):
    put(client, {**KITE, "id": "team/a/kite"})
    assert client.get("/documents/team/a/kite").json()["id"] == "team/a/kite"
    assert client.delete("/documents/team/a/kite").status_code == 200


@pytest.mark.parametrize("document_id", ["", "x" * 201])
def test_an_address_without_a_valid_id_gets_a_422(document_id, client):
    for method in ("GET", "DELETE"):
        answer = client.request(method, f"/documents/{document_id}")
        rejected(answer, "path.id", "character")


def test_metadata_is_kept(client):
    metadata = {"née": ["Zoë", 1, 2.5, None, True, {"nested": {}}], "n": 2**70, "": "\x00"}
    put(client, {**KITE, "metadata": metadata})
    assert client.get("/documents/kite").json()["metadata"] == metadata


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_a_number_that_json_lacks_becomes_null(number, client):
    body = json.dumps({"documents": [{**KITE, "metadata": {"x": "HERE"}}]})
    body = body.replace('"HERE"', number)
    assert client.post("/documents", content=body, headers=JSON).status_code == 200
    assert client.get("/documents/kite").json()["metadata"] == {"x": None}


def test_the_deepest_metadata_that_is_accepted_is_returned(client):
    statuses = set()
    for depth in range(150, 300, 5):
        nested = json.loads("[" * depth + "]" * depth)
        status = post(client, {**KITE, "id": f"kite {depth}", "metadata": {"x": nested}})
        if status.status_code == 200:
            assert client.get(address(f"kite {depth}")).json()["metadata"] == {"x": nested}
        statuses.add(status.status_code)
    assert statuses == {200, 422}


def test_unknown_fields_are_left_out(client):
    put(client, {**KITE, "tags": ["toy"], "Title": "no title"})
    assert client.get("/documents/kite").json() == {**KITE, "metadata": {}}


def test_a_title_or_a_text_is_enough(client):
    put(client, {"id": "title", "title": "Sundial"}, {"id": "text", "text": "Sundials at noon."})
    assert set(found(client, "sundial")) == {"title", "text"}


def test_the_largest_request_is_answered(client):
    documents = [{"id": f"{n}", "text": "kite breeze " * 1_200} for n in range(64)]
    assert len(put(client, *documents)) == 64
    assert len(found(client, "kite")) == 64


@pytest.mark.parametrize("changes", ["changes/documents.sqlite", "deep/er/x.db"])
def test_changes_survive_a_restart(changes, serve):
    client = serve(changes=changes)
    put(client, KITE, {"id": "d3", "text": "An igloo."}, {"id": "gone", "text": "x"})
    for one in ("d7", "gone"):
        client.delete(address(one))
    before = found(client, "kite igloo tap")
    restarted = serve(changes=changes)
    assert found(restarted, "kite igloo tap") == before
    assert restarted.get("/documents/d3").json()["text"] == "An igloo."
    assert [is_there(restarted, one) for one in ("kite", "d7", "gone")] == [True, False, False]
    assert Path(changes).is_file()


def test_two_servers_with_one_file_of_changes_agree_at_once(serve):
    one, other = serve(), serve()
    put(one, KITE)
    assert found(other, "kite") == found(one, "kite") == ["kite"]
    assert other.delete("/documents/kite").status_code == 200
    assert not is_there(one, "kite")
    assert found(one, "kite") == []


def test_without_a_file_of_changes_documents_do_not_change(serve):
    client = serve(changes=None)
    requests = [
        ("POST", "/documents", {"documents": [KITE]}),
        ("DELETE", "/documents/d7", None),
        ("DELETE", "/documents/nope", None),
    ]
    for method, route, body in requests:
        answer = client.request(method, route, json=body)
        assert answer.status_code == 403
        assert answer.json() == {"detail": "serve.changes is null here: documents do not change."}
    assert is_there(client, "d7")
    assert not Path("changes").exists()


def unavailable(answer, reason, caplog):
    """The reason is in the log line of this request, and the client learns nothing of it."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    detail = "The documents cannot be reached right now; try again later."
    assert answer.json() == {"detail": detail}
    [entry] = [
        entry
        for entry in (json.loads(line) for line in caplog.messages if line.startswith("{"))
        if entry["request_id"] == answer.headers["X-Request-ID"]
    ]
    assert reason in entry["cause"]


@pytest.fixture(autouse=True)
def whole_log(caplog):
    """Log lines of requests are kept."""
    caplog.set_level("INFO")


def test_beyond_a_limit_a_change_is_a_507_and_nothing_is_changed(serve):
    client = serve(max_changes=2)
    put(client, KITE)
    answer = post(client, {"id": "d3", "text": "An igloo."}, {"id": "other", "text": "An igloo."})
    reason = "serve.max_changes is 2: no room for this change; "
    assert answer.status_code == 507
    assert answer.json()["detail"].startswith(reason)
    assert found(client, "igloo") == []
    put(client, {**KITE, "text": "A kite needs a breeze."})
    assert client.delete("/documents/d7").status_code == 200
    answer = client.delete("/documents/d8")
    assert (answer.status_code, answer.json()["detail"][: len(reason)]) == (507, reason)
    assert is_there(client, "d8")
    assert client.delete("/documents/kite").status_code == 200
    assert client.delete("/documents/d8").status_code == 200
    assert [is_there(client, one) for one in ("kite", "d7", "d8")] == [False, False, False]


def test_bytes_have_a_limit_as_well(serve):
    client = serve(max_changes_megabytes=1)
    documents = [{"id": f"{n}", "text": "breeze " * 7_000} for n in range(25)]
    put(client, *documents[:15])
    answer = post(client, *documents[15:])
    assert answer.status_code == 507
    assert "serve.max_changes_megabytes is 1: no room" in answer.json()["detail"]
    assert len(found(client, "breeze")) == 15
    assert client.delete("/documents/0").status_code == 200
    put(client, documents[24])


def test_the_api_s_description_names_each_answer_of_a_change(client):
    paths = client.get("/openapi.json").json()["paths"]
    for operation in (paths["/documents"]["post"], paths["/documents/{id}"]["delete"]):
        assert {"403", "422", "503", "507"} <= operation["responses"].keys()


def test_where_changes_cannot_be_written_reading_works(serve, monkeypatch):
    before = serve()
    put(before, KITE)
    before.app.state.predictor.close()
    monkeypatch.setattr(Journal, "_open", read_only)
    client = serve()
    assert found(client, "kite") == ["kite"]
    for answer in (post(client, {**KITE, "id": "b"}), client.delete("/documents/kite")):
        assert answer.status_code == 403
        assert answer.json() == {"detail": "serve.changes cannot be written here."}
    assert is_there(client, "kite")


def read_only(journal):
    """Open a journal as SQLite does on a disk that cannot be written."""
    database = sqlite3.connect("file:changes/documents.sqlite?mode=ro", uri=True)
    database.execute("CREATE TABLE more (x)")


def test_a_full_disk_is_a_503_and_changes_nothing(client, caplog):
    put(client, KITE)
    writer = client.app.state.predictor.collection._journal._writer
    [(pages,)] = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count={pages}")
    documents = [{"id": f"{n}", "text": "breeze " * 5_000} for n in range(3)]
    reason = "serve.changes: changes/documents.sqlite cannot be used: database or disk"
    unavailable(post(client, *documents), reason, caplog)
    assert not any(is_there(client, one["id"]) for one in documents)
    assert found(client, "kite breeze") == ["kite"]
    writer.execute(f"PRAGMA max_page_count={10 * pages}")
    put(client, *documents[:1])
    assert is_there(client, "0")


def test_a_delete_that_does_not_reach_the_disk_is_a_503(client, monkeypatch, caplog):
    def write(changes):
        raise UserError("serve.changes: x cannot be used: disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor.collection._journal, "write", write)
        unavailable(client.delete("/documents/d7"), "disk I/O error", caplog)
    assert is_there(client, "d7")
    assert client.delete("/documents/d7").status_code == 200


def test_documents_batched_with_a_search_that_fails_get_a_503_as_well(client, monkeypatch, caplog):
    """The model answers both in one batch, and a failed batch concerns both."""

    def answer(items):
        raise UserError("index.qdrant_url: http://there cannot be used: timed out")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.state.predictor, "answer", answer)
        unavailable(post(client, KITE), "http://there cannot be used", caplog)
    assert not is_there(client, "kite")
    put(client, KITE)


def test_beyond_a_full_queue_a_request_is_rejected_whole_or_done_whole(serve, monkeypatch):
    client = serve(max_wait_seconds=0.3)
    predictor = client.app.state.predictor
    answer = predictor.answer

    def slowly(items):
        time.sleep(0.1)
        return answer(items)

    monkeypatch.setattr(predictor, "answer", slowly)
    put(client, KITE)  # now the queue knows how slow the model is

    def add(number):
        documents = [{"id": f"{number}-{n}", "text": "breeze " * 60} for n in range(3)]
        return post(client, *documents)

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(add, range(12)))
    statuses = {each.status_code for each in answers}
    assert 503 in statuses
    assert statuses <= {200, 503}
    for number, each in enumerate(answers):
        there = {is_there(client, f"{number}-{n}") for n in range(3)}
        assert there == {each.status_code == 200}
        if each.status_code == 503:
            assert "Too many requests are waiting" in each.json()["detail"]
            assert int(each.headers["Retry-After"]) >= 1
    monkeypatch.setattr(predictor, "answer", answer)
    put(client, KITE)


def test_reading_and_deleting_do_not_wait_in_the_queue(client, monkeypatch):
    may_answer = threading.Event()
    predictor = client.app.state.predictor
    answer = predictor.answer
    monkeypatch.setattr(predictor, "answer", lambda items: may_answer.wait(30) and answer(items))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(put, client, KITE)
        assert is_there(client, "d7")
        assert client.delete("/documents/d7").status_code == 200
        assert not is_there(client, "kite")
        may_answer.set()
        assert waiting.result() == ["kite"]
    assert is_there(client, "kite")


def test_concurrent_writers_and_readers_lose_nothing(serve):
    client = serve(max_wait_seconds=60)

    def write(writer):
        for turn in range(5):
            name = f"zq{writer}x{turn}"
            put(client, {"id": name, "text": f"{name} flies"}, {"id": f"{name}b", "text": name})
            assert set(found(client, name)) == {name, f"{name}b"}
            assert client.delete(address(f"{name}b")).status_code == 200
            assert found(client, name) == [name]
            put(client, {"id": "shared", "text": f"shared {name}"})

    def read(reader):
        for _ in range(20):
            ids = found(client, "tap")
            assert len(set(ids)) == len(ids) == 40
            assert client.get("/documents/d7").json()["text"] == STORED[7].text

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(write, one) for one in range(4)]
        tasks += [threads.submit(read, one) for one in range(4)]
        for task in tasks:
            task.result()
    assert len(found(client, "flies")) == 20
    assert found(client, "shared") == ["shared"]


def test_changes_are_counted(client):
    def count(how):
        series = f'documents_written_total{{how="{how}"}}'
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(series))

    before = count("put"), count("delete")
    put(client, KITE, {**KITE, "id": "other"})
    for document_id in ("kite", "kite", "nope"):
        client.delete(address(document_id))
    assert (count("put"), count("delete")) == (before[0] + 2, before[1] + 1)
