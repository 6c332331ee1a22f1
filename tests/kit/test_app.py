"""The API around any project's routes, with a stub that loads when told to."""

import asyncio
import json
import logging
import re
import threading
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import pytest
from fastapi.testclient import TestClient
from live import wait_until_ready
from tiny.predictor import Predictor
from tiny.project import PROJECT

from portfolio_kit import artifacts
from portfolio_kit.errors import UserError
from portfolio_kit.serving.app import create_app
from portfolio_kit.serving.reading import MAX_PENDING

LIMIT = 2000
TITLE = 'Notes <on> "things"'
VERSION = "0123456789ab"
EXAMPLES = ["one", "<another>"]


@pytest.fixture
def model(monkeypatch):
    """The stub; clear `model.may_load` before the application starts to keep it waiting."""
    manifest = SimpleNamespace(data_sha256="d" * 64, labels=[])
    facts = {"classes": 2}
    model = SimpleNamespace(
        version=VERSION, manifest=manifest, max_cost=256, facts=facts, close=list
    )
    model.may_load = threading.Event()
    model.may_load.set()

    def load(folder, settings):
        assert model.may_load.wait(timeout=30)
        return model

    monkeypatch.setattr(Predictor, "load", load)
    return model


@pytest.fixture
def failures():
    """Calls of the application's `on_failure`."""
    return []


@pytest.fixture
def application(model, write_params, failures):
    """The application, not yet started."""
    settings = {"title": TITLE, "max_body_bytes": LIMIT, "examples": EXAMPLES}
    params = write_params({f"serve.{key}": value for key, value in settings.items()})
    return create_app(PROJECT, params, on_failure=lambda: failures.append("failed"))


@pytest.fixture
def client(application):
    """A client of the started application, its model loaded."""
    with TestClient(application) as client:
        wait_until_ready(client, seconds=30)
        yield client


def count_of(client, route, status):
    labels = f'route="{route}",status="{status}"'
    for line in client.get("/metrics").text.splitlines():
        name, _, rest = line.partition("{")
        if name == "http_requests_total" and rest.startswith(labels + "}"):
            return float(rest.split()[-1])
    return 0.0


def test_it_is_alive_at_once_and_ready_when_the_model_is_loaded(application, model):
    model.may_load.clear()
    with TestClient(application) as client:
        assert client.get("/health").json() == {"status": "alive"}
        for route in ("/ready", "/model"):
            answer = client.get(route)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert "loading" in answer.json()["detail"]
        model.may_load.set()
        wait_until_ready(client, seconds=30)
        assert client.get("/ready").json() == {"status": "ready", "model_version": VERSION}


def test_a_model_that_cannot_be_loaded_is_reported_to_the_server(
    application, failures, monkeypatch, caplog
):
    def load(folder, settings):
        raise UserError("models/model.onnx: not the file that was listed")

    monkeypatch.setattr(Predictor, "load", load)
    with TestClient(application) as client:
        deadline = time.monotonic() + 30
        while not failures and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.get("/ready").status_code == 503
    assert failures == ["failed"]
    assert "models/model.onnx: not the file that was listed" in caplog.text


def test_the_model_route_says_which_model_answers(client):
    assert client.get("/model").json() == {
        "name": TITLE,
        "problem": PROJECT.about["Summary"],
        "model_version": VERSION,
        "data_sha256": "d" * 64,
        "classes": 2,
        "metrics": None,
        "examples": EXAMPLES,
    }


@pytest.mark.parametrize(("evaluated", "shown"), [(VERSION, {"score": 0.5}), ("another", None)])
def test_only_this_model_s_metrics_are_shown(evaluated, shown, client):
    metrics = {"model_version": evaluated, "model": {"score": 0.5}}
    artifacts.write_json(artifacts.METRICS, metrics)
    assert client.get("/model").json()["metrics"] == shown


def test_pages_need_nothing_from_other_hosts(client):
    for route in ("/", "/docs"):
        page = client.get(route)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assets = re.findall(r"""(?:src=|href=|url: |fetch\()["']([^"']+)""", page.text)
        assert assets
        assert not [asset for asset in assets if "//" in asset]
        for asset in assets:
            if not asset.startswith("data:"):
                assert client.get(asset).status_code == 200, asset


@pytest.mark.parametrize("route", ["/", "/static/page.js"])
def test_the_page_is_isolated_and_revalidated(route, client):
    headers = client.get(route).headers
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    allowed = {source for rule in policy for source in rule.split()[1:]}
    assert allowed == {"'none'", "'self'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert client.get(route, headers={"If-None-Match": headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["", ".", "no.js", "%2e%2e/app.py", "..%5capp.py", "%00"])
def test_no_other_files_are_served(path, client):
    assert client.get(f"/static/{path}").status_code == 404


def test_the_documentation_lists_the_routes(client):
    schema = client.get("/openapi.json").json()
    assert {"/health", "/ready", "/model"} < set(schema["paths"])
    assert schema["info"]["title"] == TITLE


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 50])
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_body_over_the_limit_gets_a_413(size, chunked, client):
    parts = (b"x" * min(100, size - start) for start in range(0, size, 100))
    answer = client.post("/health", content=parts if chunked else b"".join(parts))
    assert ("content-length" in answer.request.headers) is not chunked
    assert answer.status_code == 413
    assert f"{LIMIT:,} bytes" in answer.json()["detail"]
    assert answer.headers["x-request-id"]


def test_a_body_at_the_limit_is_read(client):
    answer = client.post("/health", content=b"x" * LIMIT)
    assert answer.status_code == 405  # read, and routed to where only GET is answered


def test_only_a_route_without_a_body_rejects_one_unread(application):
    @application.delete("/thing/{name}")
    async def thing(name: str):
        return name

    with TestClient(application) as client:
        for path, content, status in (
            ("/thing/one", b"x", 413),
            ("/thing/one", b"", 200),
            ("/health", b"x", 405),
            ("/nowhere", b"x", 404),
        ):
            answer = client.request("DELETE", path, content=content)
            assert answer.status_code == status, path
        odd = {"Content-Length": b"\xb2"}
        assert client.post("/health", headers=odd, content=b"").status_code == 405


def test_requests_beyond_what_the_event_loop_can_handle_are_rejected_unread(application):
    application.state.queue = SimpleNamespace(check=lambda: None, requests=0)
    may_answer = asyncio.Event()

    @application.api_route("/slow", methods=["GET", "POST"])
    async def slow():
        await may_answer.wait()

    async def scenario():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            running = [asyncio.create_task(client.post("/slow")) for _ in range(MAX_PENDING + 1)]
            await asyncio.sleep(0.1)
            rejected = await client.post("/slow", content=b"x" * (LIMIT + 1))
            application.state.queue.requests = 1  # one of them now waits for the model
            running += [asyncio.create_task(client.post("/slow"))]
            running += [asyncio.create_task(client.get("/slow"))]
            await asyncio.sleep(0.1)
            may_answer.set()
            return rejected, await asyncio.gather(*running)

    rejected, answers = asyncio.run(scenario())
    assert rejected.status_code == 503
    assert int(rejected.headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers} == {200}


def test_bodies_that_end_at_the_same_moment_are_not_all_handled(application):
    application.state.queue = SimpleNamespace(check=lambda: None, requests=0)
    may_end = asyncio.Event()

    @application.post("/slow")
    async def slow():
        await asyncio.sleep(0.1)

    async def body():
        yield b"x"
        await may_end.wait()

    async def scenario():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            posts = (client.post("/slow", content=body()) for _ in range(MAX_PENDING + 9))
            running = list(map(asyncio.create_task, posts))
            await asyncio.sleep(0.1)  # all are admitted: there is nothing to do yet
            may_end.set()
            return await asyncio.gather(*running)

    answers = asyncio.run(scenario())
    counts = Counter(answer.status_code for answer in answers)
    assert counts == {200: MAX_PENDING + 1, 503: 8}
    assert all(answer.headers["x-request-id"] for answer in answers)


def test_a_missing_route_is_reported_as_json(client):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not Found"}


def logged(client, caplog, **headers):
    """Return the answer to a request, and its line in the log."""
    with caplog.at_level(logging.INFO):
        answer = client.get("/health", headers=headers)
    entry = json.loads(caplog.messages[-1])
    assert entry.pop("ms") >= 0
    assert entry["request_id"] == answer.headers["x-request-id"]
    return answer, entry


def test_each_request_has_an_id_in_the_answer_and_the_log_next_to_the_client_s(client, caplog):
    answers = [logged(client, caplog, **{"X-Request-ID": "trace-1.a_b"}) for _ in range(2)]
    for _, entry in answers:
        assert re.fullmatch("[0-9a-f]{32}", entry.pop("request_id"))
        assert entry.pop("client_request_id") == "trace-1.a_b"
        assert entry == {"method": "GET", "path": "/health", "status": 200}
    assert len({answer.headers["x-request-id"] for answer, _ in answers}) == 2


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, 'a"b', "é".encode()])
def test_an_invalid_id_of_a_client_is_not_logged(given, client, caplog):
    _, entry = logged(client, caplog, **({} if given is None else {"X-Request-ID": given}))
    assert "client_request_id" not in entry


def test_requests_are_counted_by_route_and_status(client):
    before = count_of(client, "/health", 200)
    for _ in range(3):
        client.get("/health?verbose=1")
    assert count_of(client, "/health", 200) == before + 3


def test_made_up_paths_and_oversized_bodies_share_one_time_series(client):
    missing, too_large = (count_of(client, "unknown", status) for status in (404, 413))
    client.get("/admin.php")
    client.get("/wp-login")
    client.post("/whatever", content=b"x" * (LIMIT + 1))
    assert count_of(client, "unknown", 404) == missing + 2
    assert count_of(client, "unknown", 413) == too_large + 1
    assert "admin.php" not in client.get("/metrics").text


def test_serving_needs_a_model_and_a_valid_port(rejection, monkeypatch):
    [line] = rejection("serve")
    assert line.startswith("error: models: ")
    assert "train" in line
    for port in ("0", "65536", "-1", "http", ""):
        monkeypatch.setenv("PORT", port)
        [line] = rejection("serve")
        assert line.startswith("error: PORT: ")
