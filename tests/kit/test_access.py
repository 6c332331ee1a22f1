"""Keys, roles, rate limits, Host headers: who is answered, who is rejected, and what is logged."""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from keys import READER, VARIABLE, WRITER, bearer, entry
from live import PATH, QUESTION, serving, wait_until_ready
from prometheus_client import REGISTRY
from tiny.project import PROJECT

from portfolio_kit.config import API_KEYS
from portfolio_kit.errors import UserError
from portfolio_kit.serving import access, rate_limit
from portfolio_kit.serving.app import create_app

WRITE = "/texts/one/two"
SCHEMA = "/openapi.json"


ENTRIES = [entry("alice", "read", READER), entry("bob", "write", WRITER)]


@pytest.fixture
def serve(trained, write_params):
    """Start the API; yield a client, which is elsewhere unless told otherwise."""

    @contextmanager
    def serve(is_local=False, **settings):
        params = write_params({f"serve.{key}": value for key, value in settings.items()})
        app = create_app(PROJECT, params, trained.models, is_local=is_local)
        host = "localhost" if is_local else "testserver"
        options = {"base_url": f"http://{host}", "client": ("192.0.2.1", 5000)}
        with TestClient(app, **options) as client:
            wait_until_ready(client)
            yield client

    return serve


@pytest.fixture
def keys(monkeypatch):
    """Two keys in the environment."""
    monkeypatch.setenv(VARIABLE, f" {ENTRIES[0]},\n{ENTRIES[1]} ")


def test_a_new_key_comes_with_the_entry_of_its_hash(run):
    outcomes = [run("key", "alice"), run("key", "bob-2.x_y", "--role", "write")]
    found = []
    for outcome, start in zip(outcomes, ["alice:read:", "bob-2.x_y:write:"], strict=True):
        assert outcome.code == 0
        key = re.search(r"^key: +(\S+)$", outcome.out, re.MULTILINE)[1]
        deployed = re.search(r"^entry: +(\S+)$", outcome.out, re.MULTILINE)[1]
        assert deployed == start + hashlib.sha256(key.encode()).hexdigest()
        assert VARIABLE in outcome.out
        assert len(key) >= 43  # 256 bits
        found.append(key)
    assert len(set(found)) == 2


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "é", "x" * 65, "a\nb"])
def test_a_key_needs_a_plain_name(name, rejection):
    [line] = rejection("key", name)
    assert line.startswith("error: key: ")
    assert "letters, digits" in line


HASH = "0" * 63 + "1"
MALFORMED = {
    READER: "role must be",  # all of it could be a name
    "alice": "role must be",
    f"alice:{HASH}": "role must be",
    f"alice:admin:{HASH}": "role must be",
    f"alice:READ:{HASH}": "role must be",
    f":read:{HASH}": "name must be",
    f"al/ce:read:{HASH}": "name must be",
    f"{'x' * 65}:read:{HASH}": "name must be",
    f"alice:read:{READER}": "SHA-256",
    f"alice:read:{HASH}0": "SHA-256",
    f"alice:read:{HASH}:": "SHA-256",
    "alice:read:": "SHA-256",
    f"alice:read:{hashlib.sha256(b'').hexdigest()}": "SHA-256",
    ENTRIES[1].replace("bob:write", "eve:read"): "repeated",
}


@pytest.mark.parametrize("wrong", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_entry_is_named_by_its_position_and_starts_nothing(
    wrong, rejection, monkeypatch
):
    monkeypatch.setattr(socket, "create_server", lambda *a, **o: pytest.fail("it listened"))
    monkeypatch.setenv(VARIABLE, f"{ENTRIES[1]} , {wrong}")
    [line] = rejection("serve")
    assert line.startswith(f"error: {VARIABLE}: entry 2 is not name:role:hash: ")
    assert MALFORMED[wrong] in line
    assert "`python -m tiny key NAME`" in line
    assert READER not in line
    assert HASH not in line
    assert len(line) < 300


@pytest.mark.parametrize("empty", ["", " ,\n, "])
def test_an_empty_variable_means_no_keys(empty, monkeypatch):
    monkeypatch.setenv(VARIABLE, empty)
    assert access.read_keys("tiny") == []


def test_keys_are_not_a_parameter_unless_misspelled(keys, rejection, run, monkeypatch):
    assert run("params").code == 0
    for name in (VARIABLE.lower(), f"TINY_{API_KEYS[:-1]}"):
        monkeypatch.setenv(name, ENTRIES[0])
        [line] = rejection("params")
        assert line.startswith(f"error: {name}: there is no parameter")
        assert ENTRIES[0] not in line
        monkeypatch.delenv(name)


OPEN = [
    "/", "/health", "/ready", "/docs", SCHEMA, "/static/page.js", "/static/docs.js",
    "/static-offline-docs/swagger-ui.css",
]  # fmt: skip
NEEDING = ["/model", "/metrics", "/caller", "/nowhere", "/docs/x", "/static", "/health/"]


def test_without_keys_anyone_may_read_and_nobody_write(serve):
    with serve() as client:
        for path in [*OPEN, "/model", "/metrics"]:
            assert client.get(path).status_code == 200, path
        assert client.post(PATH, json=QUESTION).status_code == 200
        for headers in ({}, bearer(WRITER)):
            answer = client.delete(WRITE, headers=headers)
            assert answer.status_code == 403
            assert answer.json() == {"detail": access.CLOSED}


def test_with_keys_each_request_needs_one_of_the_right_role(keys, serve):
    with serve() as client:
        for path in OPEN:
            assert client.get(path).status_code == 200, path
            assert client.head(path).status_code == 200, path
        reader, writer = bearer(READER), bearer(WRITER)
        for path in NEEDING:
            known = client.get(path, headers=reader).status_code
            assert known in (200, 404)
            rejected(client.get(path), 401, "Send an API key")
            rejected(client.get(path, headers=bearer("wrong")), 401, "not valid")
        for path in ("/", "/docs", PATH, WRITE):  # not to be read: open for GET only
            rejected(client.post(path, json=QUESTION), 401, "Send an API key")
        rejected(client.delete(WRITE), 401, "Send an API key")
        rejected(client.delete(WRITE, headers=reader), 403, "may read, but not change")
        assert client.delete(WRITE, headers=writer).json() == "one/two"
        for headers in (reader, writer):
            assert client.post(PATH, json=QUESTION, headers=headers).status_code == 200


def rejected(answer, status, reason):
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["detail"]
    assert ("www-authenticate" in answer.headers) is (status == 401)
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


CREDENTIALS = [
    b"", b"Bearer", b"Bearer ", b"bearer  ", b"Basic YTpi", READER.encode(),
    b"Bearer:" + READER.encode(),
    b"Bearer " + READER[:-1].encode(), b"Bearer " + READER.encode() + b"x", b"Bearer \xff\xfe",
    b"Bearer " + READER.upper().encode(), b"Bearer " + READER.encode() + b", x",
    b"Bearer\t" + READER.encode(), b"Token " + READER.encode(), b"Bearer " + ENTRIES[0].encode(),
    b"Bearer " + hashlib.sha256(READER.encode()).hexdigest().encode(), b"Bearer " + b"x" * 50_000,
    b"Bearer Bearer " + READER.encode(), b'Bearer "' + READER.encode() + b'"',
]  # fmt: skip


def test_malformed_credentials_are_no_key(keys, serve):
    with serve() as client:
        for value in CREDENTIALS:
            for method, path in (("GET", "/model"), ("POST", PATH), ("DELETE", WRITE)):
                answer = client.request(method, path, headers={"Authorization": value})
                assert answer.status_code == 401, value
        twice = [("Authorization", f"Bearer {READER}")] * 2
        assert client.get("/model", headers=twice).status_code == 401
        for good in (f"bearer {READER}", f"BEARER   {READER} "):
            assert client.get("/model", headers={"Authorization": good}).status_code == 200


def test_every_key_is_compared_whichever_matches(keys, serve, monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with serve() as client:
        for key, status in ((READER, 200), (WRITER, 200), ("wrong", 401)):
            compared.clear()
            assert client.get("/model", headers=bearer(key)).status_code == status
            assert compared == [(32, 32)] * 2  # hashes, not keys


def test_two_keys_of_one_name_replace_one_another_without_a_gap(monkeypatch, serve):
    monkeypatch.setenv(VARIABLE, ",".join([ENTRIES[0], entry("alice", "read", "the next")]))
    with serve() as client:
        for key in (READER, "the next"):
            assert client.get("/model", headers=bearer(key)).status_code == 200


def test_a_rejection_reads_no_body(keys, serve):
    with serve(rate_limit="2/minute") as client:
        app = client.app
        scope = {
            "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(),
            "query_string": b"", "scheme": "http", "http_version": "1.1", "root_path": "",
            "headers": [(b"host", b"x")], "client": ("192.0.2.9", 1), "server": ("x", 80),
        }  # fmt: skip
        statuses = []

        async def receive():
            pytest.fail("it read the body")

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def ask():
            for _ in range(3):
                await app({**scope, "state": {}}, receive, send)

        asyncio.run(ask())
        assert statuses == [401, 401, 429]
        assert client.delete(WRITE, headers=bearer(READER)).status_code == 403


def test_no_path_leads_around_the_role(keys, serve, monkeypatch):
    with serve() as client:
        monkeypatch.setattr(access.Guard, "_is_write", lambda *_: False)  # as if it knew no route
        rejected(client.delete(WRITE, headers=bearer(READER)), 403, "not allowed")
        assert client.delete(WRITE, headers=bearer(WRITER)).status_code == 200


def test_the_log_and_a_metric_name_the_key_and_nothing_holds_it(keys, serve, caplog):
    caplog.set_level("INFO", logger="portfolio_kit")

    def count(name):
        return REGISTRY.get_sample_value("http_requests_by_key_total", {"key": name})

    with serve() as client:
        before = count("alice"), count("bob")  # both exist: their first request is an increase
        for key in (READER, WRITER, READER, "a-wrong-one"):
            client.get("/model", headers=bearer(key))
        lines = [json.loads(one) for one in caplog.messages if '"path": "/model"' in one]
        assert [line.get("key") for line in lines] == ["alice", "bob", "alice", None]
        assert (count("alice"), count("bob")) == (before[0] + 2, before[1] + 1)
        shown = caplog.text + client.get("/metrics", headers=bearer(READER)).text
    for secret in (READER, WRITER, "a-wrong-one", *ENTRIES):
        assert secret not in shown


def test_the_start_says_who_may_do_what(keys, trained, write_params, monkeypatch):
    def says(is_local):
        return str(create_app(PROJECT, write_params({}), is_local=is_local).state.guard)

    assert says(False) == says(True) == "API keys: alice (read), bob (write)"
    monkeypatch.delenv(VARIABLE)
    assert says(False) == "no API keys: anyone may read, and nobody may write"
    assert says(True) == "no API keys: anyone on this machine may read and write"


@pytest.mark.parametrize("limit", [None, "100/minute"])
def test_the_openapi_document_says_what_needs_a_key(keys, limit, serve):
    with serve(rate_limit=limit) as client:
        schema = client.get(SCHEMA).json()
        assert schema == client.get(SCHEMA).json()
    assert schema["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    operations = {
        (path, method): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert {("/health", "get"), ("/model", "get"), (PATH, "post")} < operations.keys()
    for (path, _), operation in operations.items():
        is_open = path in ("/health", "/ready")
        assert operation.get("security", []) == ([] if is_open else [{"key": []}])
        assert ("401" in operation["responses"]) is not is_open
        assert ("429" in operation["responses"]) is (limit is not None and not is_open)
    assert "403" in operations["/texts/{name}", "delete"]["responses"]


def test_with_keys_every_answer_is_as_documented(trained, workspace):
    """schemathesis sends the key, leaves it out, and changes it; each operation succeeds, too."""
    allowed = "[404, 405, 413, 414, 415, 422, 503]"
    settings = f"[checks.negative_data_rejection]\nexpected-statuses = {allowed}\n"
    (workspace / "schemathesis.toml").write_text(settings)
    log = workspace / "log"
    with serving(trained.folder, log, **{VARIABLE: ",".join(ENTRIES)}) as process:
        command = ["run", f"{process.url}{SCHEMA}", "--checks=all", "--mode=all", "--no-color"]
        options = [f"--header=Authorization: Bearer {WRITER}", "--max-examples=40", "--seed=13"]
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *command, *options],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(one) for one in log.read_text().splitlines() if one.startswith("{")]
    statuses = {(line["path"].split("/")[1], line["status"]) for line in lines}
    for route in ("label", "texts", "model", "about", "health", "ready"):
        assert (route, 200) in statuses
        assert ((route, 401) in statuses) is (route not in ("health", "ready"))


def test_without_keys_or_a_limit_the_document_promises_none(serve):
    with serve() as client:
        schema = client.get(SCHEMA).json()
    assert "securitySchemes" not in schema["components"]
    assert not {"401", "429"} & set(schema["paths"][PATH]["post"]["responses"])
    assert "security" not in schema["paths"][PATH]["post"]


HERE = [
    "localhost",
    "localhost:8000",
    "LOCALHOST",
    "127.0.0.1",
    "127.9.8.7:1",
    "[::1]:8000",
    "a.localhost",
]
ELSEWHERE = [
    "evil.example", "testserver", "", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]",
    "evil.example:127", "localhost@evil.example", "10.0.0.1", "127.0.0.1/x", "xlocalhost", "::1",
    "localhost\t", "localhost, evil.example", "0.0.0.0", "[::1", "2130706433", "127.1",
]  # fmt: skip


def test_a_local_server_answers_to_its_own_names_only(serve):
    with serve(is_local=True) as client:
        for host in HERE:
            for path in ("/health", "/model", "/"):
                assert client.get(path, headers={"Host": host}).status_code == 200, host
        for host in ELSEWHERE:
            for path in ("/health", "/model", "/", "/nowhere"):
                answer = client.get(path, headers={"Host": host})
                assert answer.status_code == 421, host
                assert "localhost" in answer.json()["detail"]
            assert client.delete(WRITE, headers={"Host": host}).status_code == 421
        twice = [("Host", "localhost"), ("Host", "evil.example")]
        assert client.get("/health", headers=twice).status_code == 421


def test_on_this_machine_no_key_is_needed_to_write(serve):
    with serve(is_local=True) as client:
        assert client.delete(WRITE).status_code == 200
        for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Host", "X-Real-IP"):
            answer = client.delete(WRITE, headers={name: "127.0.0.1"})
            assert answer.status_code == 403, name  # a proxy passed it on, from anywhere
        # A page that `serve.cors` allows to call the API is elsewhere, too.
        for origin, status in {
            "http://localhost:3000": 200,
            "http://127.0.0.1": 200,
            "https://example.org": 403,
            "https://localhost.example.org": 403,
            "null": 403,
        }.items():
            assert client.delete(WRITE, headers={"Origin": origin}).status_code == status, origin


def test_keys_count_on_this_machine_as_well(keys, serve):
    with serve(is_local=True) as client:
        rejected(client.delete(WRITE), 401, "Send an API key")
        assert client.delete(WRITE, headers=bearer(WRITER)).status_code == 200


@pytest.mark.parametrize(
    ("host", "proxies", "is_local"),
    [
        ("127.0.0.1", [], True),
        ("localhost", [], True),
        ("::1", [], True),
        ("127.0.0.1", ["10.0.0.0/8"], False),
        ("0.0.0.0", [], False),
        ("::", [], False),
    ],
)
def test_the_server_knows_whether_others_can_reach_it(
    host, proxies, is_local, trained, monkeypatch, write_params
):
    from portfolio_kit.serving import server

    seen = {}
    guard = SimpleNamespace(state=SimpleNamespace(guard="guarded"))
    monkeypatch.setattr(server, "create_app", lambda *a, **options: seen.update(options) or guard)
    monkeypatch.setattr(server.Server, "run", lambda *_: None)
    monkeypatch.setenv("HOST", host)
    monkeypatch.setenv("PORT", str(free_port(host)))
    monkeypatch.chdir(trained.folder)
    server.serve(PROJECT, write_params({"serve.trusted_proxies": proxies}))
    assert seen["is_local"] is is_local


def free_port(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as probe:
        return probe.getsockname()[1]


class Clock:
    """The monotonic clock of rate limits; time passes when a test says so."""

    def __init__(self, monkeypatch):
        self.now = 1_000.0
        monkeypatch.setattr(rate_limit.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_limit_counts_from_the_first_request_and_says_when_to_return(clock):
    limit = rate_limit.RateLimit("3/minute")
    assert [limit.hit("a") for _ in range(3)] == [0, 0, 0]
    clock.now += 20.5
    assert limit.hit("a") == 39.5
    assert limit.hit("b") == 0
    clock.now += 39
    assert limit.hit("a") == 0.5  # a rejected request does not extend the wait
    clock.now += 0.5
    assert [limit.hit("a") for _ in range(4)] == [0, 0, 0, 60]


def test_of_several_limits_the_longest_wait_counts(clock):
    limit = rate_limit.RateLimit("2/second;3/hour")
    assert [limit.hit("a") for _ in range(3)] == [0, 0, 1]
    clock.now += 1
    assert limit.hit("a") == 3599


def test_a_million_clients_take_bounded_memory(monkeypatch, peak_memory):
    monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 100)
    limit = rate_limit.RateLimit("1/hour")

    def ask():
        for number in range(20_000):
            assert limit.hit(f"client {number}") == 0

    assert peak_memory(ask) < 200_000
    assert limit.hit("client 19999") > 0  # the newest are remembered
    assert limit.hit("client 0") == 0


def test_above_the_limit_a_client_gets_a_429_with_the_time_to_wait(keys, serve):
    with serve(rate_limit="3/minute") as client:
        for path in ("/health", "/ready"):
            assert {client.get(path).status_code for _ in range(5)} == {200}  # of an orchestrator
        found = [client.get("/model", headers=bearer(READER)).status_code for _ in range(4)]
        assert found == [200, 200, 200, 429]
        answer = client.get("/model", headers=bearer(READER))
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert "Too many requests" in answer.json()["detail"]
        # Another key, and a client without one, have their own.
        assert client.get("/model", headers=bearer(WRITER)).status_code == 200
        found = [client.get("/model", headers=bearer("guess")).status_code for _ in range(4)]
        assert found == [401, 401, 401, 429]


def test_on_the_operations_port_neither_keys_nor_limits_apply(keys, serve):
    with serve(rate_limit="2/minute", operations_port=9100) as client:
        for _ in range(4):
            for path in ("/metrics", "/model", "/health", "/ready"):
                assert client.get(f"http://testserver:9100{path}").status_code == 200, path
        for path in (PATH, WRITE, "/", "/docs"):
            assert client.get(f"http://testserver:9100{path}").status_code == 404, path
        assert client.delete(f"http://testserver:9100{WRITE}").status_code == 404
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer(READER)).status_code == 404


def test_a_web_page_does_not_reach_the_operations_port_of_this_machine(serve):
    with serve(is_local=True, operations_port=9100) as client:
        for host, status in (("localhost:9100", 200), ("evil.example:9100", 421)):
            answer = client.get("http://localhost:9100/metrics", headers={"Host": host})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:DB8:1:2::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("x" * 500, "x" * 64),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_client(address, network):
    assert access.network({"client": (address, 1)}) == network


def test_a_client_without_an_address_is_one_client():
    assert access.network({"client": None}) == ""


WRONG = [
    "600",
    "600/fortnight",
    "/minute",
    "many/minute",
    "0/minute",
    "5/minute;0/hour",
    "",
    "-1/second",
    "9" * 5_000 + "/day",
]


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_an_invalid_limit_is_rejected(text, rejection):
    [line] = rejection("params", "--set", f"serve.rate_limit='{text}'")
    assert line.startswith("error: --set serve.rate_limit: ")


@pytest.mark.parametrize(
    "text", ["600/minute", "10 per second", "5/second;600/minute", "1/2 hours"]
)
def test_a_valid_limit_is_taken(text, write_params):
    assert write_params({"serve.rate_limit": text}).serve.rate_limit == text


def test_a_limit_is_needed_by_no_default(write_params):
    assert write_params({}).serve.rate_limit is None


def test_malformed_keys_stop_an_application_made_by_hand(monkeypatch, write_params):
    monkeypatch.setenv(VARIABLE, "alice:read:secret")
    with pytest.raises(UserError, match="entry 1"):
        create_app(PROJECT, write_params({}))
