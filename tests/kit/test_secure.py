"""The headers on every answer, redirects, titles, and why the service failed."""

import json
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from keys import READER, VARIABLE, bearer, entry
from live import PATH, QUESTION, wait_until_ready
from tiny.project import PROJECT

from portfolio_kit.serving.app import create_app
from portfolio_kit.serving.page import DOCS, PAGE
from portfolio_kit.serving.secure import HEADERS

EXACT = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
OWN_POLICY = {"/": PAGE, "/static/page.js": PAGE, "/docs": DOCS}
WRITE = "/texts/one"
ORIGIN = {"Origin": "https://example.org"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "authorization,content-type",
}
TITLE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def start(trained, write_params):
    """Start the API with a model; yield a client that also gets answers to failures."""

    @contextmanager
    def start(base_url="http://testserver", is_local=False, **settings):
        params = write_params({f"serve.{key}": value for key, value in settings.items()})
        app = create_app(PROJECT, params, trained.models, is_local=is_local)

        @app.get("/fails")
        async def fails():
            raise RuntimeError("a secret of the service")

        with TestClient(app, base_url=base_url, raise_server_exceptions=False) as client:
            wait_until_ready(client)
            yield client

    return start


def policy_of(answer):
    return dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )


def is_isolated(answer, path):
    for name, value in EXACT.items():
        assert answer.headers.get_list(name) == [value], (path, name)
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert policy_of(answer)["default-src"] == "'none'"
    assert policy_of(answer)["frame-ancestors"] == "'none'"
    if path in OWN_POLICY:
        assert answer.headers["content-security-policy"] == OWN_POLICY[path]
    else:
        assert set(policy_of(answer).values()) == {"'none'"}
    return True


ANSWERS = [
    ("GET", "/", {}, 200),
    ("HEAD", "/", {}, 200),
    ("GET", "/docs", {}, 200),
    ("GET", "/openapi.json", {}, 200),
    ("GET", "/static/page.js", {}, 200),
    ("GET", "/static/none.js", {}, 404),
    ("GET", "/static-offline-docs/swagger-ui.css", {}, 200),
    ("GET", "/static-offline-docs/none.css", {}, 404),
    ("GET", "/health", {}, 200),
    ("GET", "/metrics", {}, 200),
    ("GET", "/model", {}, 200),
    ("GET", "/nowhere", {}, 404),
    ("GET", PATH, {}, 405),
    ("DELETE", WRITE, {}, 403),
    ("GET", "/fails", {}, 500),
    ("OPTIONS", PATH, PREFLIGHT, 200),
    ("OPTIONS", PATH, {**PREFLIGHT, "Origin": "https://example.com"}, 400),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), ANSWERS)
def test_every_answer_is_isolated(method, path, headers, status, start):
    with start(cors=[ORIGIN["Origin"]]) as client:
        answer = client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert is_isolated(answer, path)
    assert "strict-transport-security" not in answer.headers


def test_rejections_of_a_body_are_isolated_too(start):
    with start(max_body_bytes=1_000) as client:
        for content, kind, status in (
            (b"x" * 2_000, "json", 413),
            (b"{}", "json", 422),
            (b"{}", "xml", 415),
        ):
            headers = {"Content-Type": f"application/{kind}"}
            answer = client.post(PATH, content=content, headers=headers)
            assert answer.status_code == status
            assert is_isolated(answer, PATH)


def test_rejections_of_a_client_are_isolated_too(start, monkeypatch):
    with start(is_local=True, base_url="http://localhost") as client:
        answer = client.get("/", headers={"Host": "evil.example"})
        assert (answer.status_code, is_isolated(answer, "")) == (421, True)
    monkeypatch.setenv(VARIABLE, entry("alice", "read", READER))
    with start(rate_limit="2/minute") as client:
        wrong, limited = [client.get("/model") for _ in range(3)][1:]
        assert (wrong.status_code, is_isolated(wrong, "/model")) == (401, True)
        assert (limited.status_code, is_isolated(limited, "/model")) == (429, True)


def test_an_overloaded_service_isolates_its_answers_too(start, monkeypatch):
    from portfolio_kit.serving.queue import OverloadError

    def check(*_):
        raise OverloadError(1.5)

    with start() as client:
        monkeypatch.setattr(client.app.state.queue, "check", check)
        answer = client.post(PATH, json=QUESTION)
    assert (answer.status_code, is_isolated(answer, PATH)) == (503, True)


def test_a_page_that_has_not_changed_keeps_its_policy(start):
    with start() as client:
        for path in ("/", "/docs"):
            whole = client.get(path)
            same = client.get(path, headers={"If-None-Match": whole.headers["etag"]})
            assert same.status_code == 304
            assert is_isolated(same, path)  # the browser takes these headers for the stored page


def test_over_https_the_browser_is_told_to_stay_there(start):
    with start(base_url="https://testserver") as client:
        for path in ("/", "/health", "/nowhere"):
            assert client.get(path).headers["strict-transport-security"] == "max-age=31536000"


def test_a_page_of_another_origin_may_send_a_key_and_ask_before_it_has_one(start, monkeypatch):
    monkeypatch.setenv(VARIABLE, entry("alice", "read", READER))
    with start(cors=[ORIGIN["Origin"]]) as client:
        allowed = client.options(WRITE, headers=PREFLIGHT)
        assert allowed.status_code == 200
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
        assert "DELETE" in allowed.headers["access-control-allow-methods"]
        for headers, status in ((ORIGIN, 401), ({**ORIGIN, **bearer(READER)}, 200)):
            answer = client.post(PATH, json=QUESTION, headers=headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


def test_a_failure_is_told_to_the_log_only(start, caplog):
    with start() as client:
        answer = client.get("/fails")
    assert answer.json() == {"detail": "The service failed; its log says why."}
    assert "secret" not in str(answer.headers)


def test_the_cause_of_a_503_is_in_the_log_line_of_its_request(trained, write_params, caplog):
    from fastapi import HTTPException

    caplog.set_level("INFO")
    app = create_app(PROJECT, write_params({}), trained.models)

    @app.get("/broken")
    async def broken():
        try:
            raise OSError("/var/lib/secret.sqlite: disk I/O error")
        except OSError as error:
            raise HTTPException(503, "Try again later.") from error

    with TestClient(app) as client:
        answer = client.get("/broken", headers={"X-Request-ID": "theirs"})
    assert answer.json() == {"detail": "Try again later."}
    [line] = [json.loads(one) for one in caplog.messages if '"path": "/broken"' in one]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["client_request_id"] == "theirs"
    assert line["cause"] == "/var/lib/secret.sqlite: disk I/O error"


@pytest.mark.parametrize("host", ["evil.example", "evil.example/x?", "a@evil.example", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/label/", "/docs/", "/health/", "//evil.example/label/", "//evil.example/docs/",
        "/ml/docs/", "//evil.example/", "/ml//evil.example/", "/static", "/static-offline-docs",
        "/ml//", "/\\evil",
    ],
)  # fmt: skip
def test_nobody_is_redirected(path, host, start):
    with start(root_path="/ml") as client:
        for method in ("GET", "POST"):
            request = client.build_request(method, "/", headers={"Host": host})
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = client.send(request, follow_redirects=False)
            assert answer.status_code in (401, 403, 404, 405), (path, answer.headers)
            assert "location" not in answer.headers


def test_the_only_redirect_names_no_host(start):
    with start(root_path="/ml") as client:
        answer = client.get("/ml", headers={"Host": "evil.example"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, "/ml/")
        assert client.get("/ml/").status_code == 200
    with start() as client:
        assert client.get("", follow_redirects=False).status_code == 200


def test_a_title_is_never_markup(start):
    with start(title=TITLE) as client:
        for path in ("/", "/docs"):
            page = client.get(path)
            assert page.headers["content-type"].startswith("text/html")
            assert "alert(" not in page.text
        answer = client.get("/openapi.json")
        assert answer.json()["info"]["title"] == TITLE
        assert answer.headers["content-type"] == "application/json"


def test_the_headers_have_one_list():
    assert {name: value for name, value in HEADERS.items() if name in EXACT} == EXACT
