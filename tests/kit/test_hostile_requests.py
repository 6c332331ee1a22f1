"""Whatever a client sends gets a documented answer or a rejection; the service never fails.

The real server runs in its own process. schemathesis makes up requests that the OpenAPI document
allows, and others that it forbids; what no client library sends goes over bare connections.
"""

import asyncio
import contextlib
import gzip
import json
import random
import re
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from hostile import TIMES
from live import PATH, QUESTION, serving
from tiny.impatient import HEAD_SECONDS, IDLE_SECONDS

from portfolio_kit.serving.protocol import MAX_HEAD_BYTES, MAX_HEADERS
from portfolio_kit.serving.secure import PAIRS

CASES = 2_000 * TIMES
MAX_GROWTH = 50_000_000  # bytes of the server's memory, over so many requests
GOOD = json.dumps(QUESTION).encode()
# An invalid body may also be too large.
STATUSES = [404, 405, 408, 413, 414, 415, 422, 503]
ALLOWED = f"[checks.negative_data_rejection]\nexpected-statuses = {STATUSES}\n"
SECONDS = 20  # for a connection, on a busy machine


@pytest.fixture(scope="module")
def service(trained, tmp_path_factory):
    """The server; its log is checked after each test."""
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(trained.folder, log, program="tiny.impatient") as process:
        for _ in range(20):
            answer_of(process)
        yield process


@pytest.fixture(autouse=True)
def unharmed(service):
    """After each test the service answers as before, and its log holds only plain lines."""
    yield
    assert service.poll() is None
    answer_of(service)
    whole, _, _ = service.log.read_text(encoding="utf-8").rpartition("\n")
    for line in whole.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            assert entry["status"] < 500 or entry["status"] == 503, line
        else:
            assert line[0].isalpha(), line  # not a further line of a traceback
            assert "Traceback" not in line
        assert len(line) < 3_000
        assert line.isprintable(), line


def answer_of(service):
    answer = httpx.post(f"{service.url}{PATH}", json=QUESTION, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def memory_of(service):
    return psutil.Process(service.pid).memory_info().rss


def test_every_answer_is_as_documented(service, workspace):
    (workspace / "schemathesis.toml").write_text(ALLOWED)
    before = memory_of(service)
    command = ["run", f"{service.url}/openapi.json", "--checks=all", "--mode=all", "--no-color"]
    options = [f"--max-examples={CASES}", "--suppress-health-check=all"]
    if TIMES == 1:
        options.append("--seed=13")
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *command, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    growth = memory_of(service) - before
    cases = int(re.search(r"(\d+) generated", done.stdout)[1])
    print(f"{cases} requests, {growth / 1e6:.1f} MB of growth")
    assert cases >= CASES
    assert growth < MAX_GROWTH


def request(body=None, path=PATH, method="POST", headers=(), version="HTTP/1.1"):
    """Return a request as bytes; `headers` replace the usual ones, None removes one."""
    content = GOOD if body is None else body
    known = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **dict(headers),
    }
    lines = [f"{name}: {value}" for name, value in known.items() if value is not None]
    head = "\r\n".join([f"{method} {path} {version}", *lines])
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + content


def exchange(service, content, first=SECONDS, further=SECONDS):
    """Send bytes over a connection; return what comes back until it closes or goes silent.

    The first bytes may take so many seconds, and all others so many more.
    """

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        found = b""
        try:
            writer.write(content)
            patience = first
            while part := await asyncio.wait_for(reader.read(1_000_000), patience):
                found, patience = found + part, further
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
        return found

    return asyncio.run(ask())


def statuses(answer):
    """Return the statuses of the answers, which must reveal nothing internal."""
    assert b"Traceback" not in answer
    return [int(one) for one in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)]


def field_with(text):
    """Return the example body with its first value replaced by this JSON."""
    return json.dumps({next(iter(QUESTION)): "HERE"}).replace('"HERE"', text).encode()


DEEP = 100_000
BODIES = {
    "nothing": b"",
    "nested lists": field_with("[" * DEEP + "]" * DEEP),
    "nested objects": field_with('{"a":' * DEEP + "1" + "}" * DEEP),
    "open lists": b"[" * DEEP,
    "deep unknown field": GOOD[:-1] + b', "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "NaN": field_with("NaN"),
    "Infinity": field_with("-Infinity"),
    "beyond floats": field_with("1e999"),
    "beyond integers": field_with("9" * 5_000),
    "half a character": field_with(r'"\ud800"'),
    "half a character in a list": field_with(r'["\udfff"]'),
    "half a character as a key": rb'{"\ud800": 1}',
    "a key twice": GOOD[:-1] + b", " + GOOD[1:],
    "a key a thousand times": b"{" + b",".join([b'"a": 1'] * 1_000) + b"}",
    "many keys": json.dumps({f"k{n}": n for n in range(50_000)}).encode(),
    "not UTF-8": field_with('"x"').replace(b"x", b"\xff\xfe"),
    "overlong UTF-8": field_with('"x"').replace(b"x", b"\xc0\x80"),
    "UTF-16": json.dumps(QUESTION).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "NUL": b"\x00" * 1_000,
    "a comment": GOOD + b"// hello",
    "two documents": GOOD * 2,
    "too large": b"x" * 2_000_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_answered_or_rejected(body, service):
    [status] = statuses(exchange(service, request(body)))
    assert status in (200, 404, 413, 422)


HEADERS = {
    "no type": {"Content-Type": None},
    "another type": {"Content-Type": "text/xml"},
    "a form": {"Content-Type": "multipart/form-data"},
    "a form without end": {"Content-Type": "multipart/form-data; boundary=" + "x" * 5_000},
    "an odd type": {"Content-Type": "application/json;;;=;charset=\udcff"},
    "another encoding": {"Content-Type": "application/json; charset=utf-7"},
    "declared as compressed": {"Content-Encoding": "gzip"},
    "an id of lines": {"X-Request-ID": "a\tb"},
    "a long id": {"X-Request-ID": "x" * 5_000},
    "many headers": {f"X-{number}": "y" for number in range(2_000)},
    "a long header": {"X-Long": "y" * 50_000},
    "a websocket": {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"},
    "HTTP/2": {"Connection": "Upgrade, HTTP2-Settings, close", "Upgrade": "h2c"},
    "no host": {"Host": None},
    "an odd host": {"Host": "[::1"},
    "forwarded": {"X-Forwarded-For": "x" * 1_000, "Forwarded": "for=;;\udcff"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_any_headers_are_answered_or_rejected(headers, service):
    found = statuses(exchange(service, request(headers=headers), further=0.5))
    assert found in ([200], [400], [415], [421], [422])


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Content-Encoding": "gzip"}, "Content-Encoding 'gzip'"),
        ({"Content-Encoding": "gzip", "Content-Type": "application/x-json+gz"}, "Content-Encoding"),
        ({"Content-Type": None}, "Content-Type is missing"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type 'application/x-www"),
        ({"Content-Type": "text/plain; charset=utf-8"}, "Content-Type 'text/plain"),
        ({"Content-Type": "application/jsonish"}, "Content-Type 'application/jsonish'"),
    ],
)
def test_the_header_that_hides_a_body_is_named(headers, name, service):
    for content in (GOOD, b" " * 50_000_000) if "Content-Encoding" in headers else (GOOD,):
        body = gzip.compress(content) if "Content-Encoding" in headers else content
        answer = exchange(service, request(body, headers=headers))
        assert statuses(answer) == [415]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"].startswith(name)


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"]
)
def test_json_by_any_name_is_read(kind, service):
    assert statuses(exchange(service, request(headers={"Content-Type": kind}))) == [200]


def chunked(*parts):
    lines = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return request(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"}) + lines


FRAMES = {
    "in chunks": chunked(*(bytes([one]) for one in GOOD), b""),
    "no last chunk": chunked(GOOD),
    "a chunk of no size": chunked() + b"zz\r\n" + GOOD,
    "a chunk below zero": chunked() + b"-5\r\n" + GOOD,
    "a chunk without end": chunked() + b"f" * 400 + b"\r\n" + GOOD,
    "a chunk too short": chunked() + b"5\r\n" + GOOD,
    "long extensions": chunked() + b"5;" + b"x" * 100_000 + b"\r\n",
    "both lengths": request(GOOD, headers={"Transfer-Encoding": "chunked"}),
    "another coding": request(GOOD, headers={"Transfer-Encoding": "gzip, chunked"}),
    "too long a length": request(GOOD, headers={"Content-Length": str(len(GOOD) + 10)}),
    "too short a length": request(GOOD, headers={"Content-Length": "3"}),
    "a length below zero": request(GOOD, headers={"Content-Length": "-1"}),
    "a length in words": request(GOOD, headers={"Content-Length": "many"}),
    "a length without end": request(GOOD, headers={"Content-Length": "9" * 100}),
    "a petabyte": request(GOOD, headers={"Content-Length": str(10**15)}),
    "two lengths": request(GOOD, headers={"Content-Length": f"3\r\nContent-Length: {len(GOOD)}"}),
    "a header without a colon": request(headers={"X": "a\r\nhello"}),
    "a folded header": request(headers={"X": "a\r\n b"}),
    "NUL in a header": request(headers={"X": "a\x00b"}),
    "a header without a name": request(headers={"": "a"}),
    "an old version": request(version="HTTP/0.9"),
    "no version": f"GET {PATH}\r\n\r\n".encode(),
    "a version to come": request(version="HTTP/3.7"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + b"\x00" * 200,
    "noise": random.Random(13).randbytes(5_000),
    "nothing": b"",
    "line ends": b"\r\n" * 10_000,
    "many line ends": b"\r\n" * MAX_HEAD_BYTES,
    "a thousand at once": request(b"", "/health", "GET", {"Connection": "keep-alive"}) * 1_000,
}


@pytest.mark.parametrize("content", FRAMES.values(), ids=FRAMES)
def test_malformed_http_is_answered_or_rejected(content, service):
    answer = exchange(service, content, first=1, further=0.5)
    assert set(statuses(answer)) <= {200, 400, 405, 408, 413, 422}


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/ready", "/model", "/metrics"])
def test_head_answers_as_get_without_a_body(path, service):
    whole, head = (
        exchange(service, request(b"", path, method)).partition(b"\r\n\r\n")
        for method in ("GET", "HEAD")
    )
    assert statuses(head[0]) == [200]
    assert whole[2]
    assert not head[2]
    changing = rb"(?m)^(date|content-length|x-request-id): .*$"  # /metrics counts these requests
    assert re.sub(changing, b"", head[0]) == re.sub(changing, b"", whole[0])


METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "CONNECT", "PURGE", "BREW"]
PATHS = [
    PATH, "/", "/docs", "/docs/", "/openapi.json", "/health", "/ready", "/model", "/metrics",
    "/static/page.js", "/static/", "/static/../app.py", "/static/..%2f..%2fapp.py", "/static/%00",
    "/static/" + "a/" * 5_000, "/static/" + "x" * 300, "/static/CON", "/static/page.js%00.css",
    "//", "/%00", "/%ff", "/%", "/%zz", "/\udcff", "/" + "x" * 50_000, "*", "test:80", "?", "#",
    "http://other/health", "/health?" + "a&" * 20_000, "/label/a%0d%0ab",
    "/static/" + "%F0%9F%9A%B0" * 200, "/static/%ed%a0%80",
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_any_method_on_any_path_is_answered_or_rejected(method, service):
    for path in PATHS:
        answer = exchange(service, request(b"", path, method))
        found = statuses(answer)
        assert set(found) <= {200, 204, 400, 404, 405, 414, 422}, (path, answer[:500])
        assert len(found) == 1 or (method, found) == ("CONNECT", []), (path, answer[:500])


def test_what_is_not_http_is_rejected_with_the_headers_of_every_answer(service):
    for content in (b"noise\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000):
        head = exchange(service, content).partition(b"\r\n\r\n")[0].lower()
        assert statuses(head.upper()) == [400]
        for name, value in PAIRS:
            assert head.count(name + b": " + value) == 1
    answer = httpx.get(f"{service.url}/health").headers
    assert answer.get_list("referrer-policy") == ["no-referrer"]  # not twice, later on


def test_many_ranges_of_a_file_do_not_multiply_it(service):
    ranges = "bytes=" + ",".join(f"{n}-" for n in range(5_000))
    headers = {"Range": ranges, "If-None-Match": '"x",' * 5_000}
    answer = exchange(service, request(b"", "/static/page.js", "GET", headers))
    assert set(statuses(answer)) <= {200, 206, 400, 416}
    assert len(answer) < 1_000_000


def test_an_endless_head_is_cut_off(service):
    before = memory_of(service)
    for start in (b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9):
        piece = b"X: y\r\n" if start.endswith(b"\n") else b"y"
        content = start + piece * (50 * MAX_HEAD_BYTES // len(piece))
        assert statuses(exchange(service, content)) in ([], [400])
    assert memory_of(service) - before < MAX_GROWTH


def test_a_head_of_many_small_headers_is_rejected(service):
    headers = {f"X-{number}": "y" for number in range(MAX_HEADERS + 1)}
    for content in (request(headers=headers), request(headers=headers).partition(b"\r\n\r\n")[0]):
        assert statuses(exchange(service, content, first=HEAD_SECONDS / 2)) == [400]
    assert statuses(exchange(service, request(headers={"X-1": "y", "X-2": "y"}))) == [200]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {"Content-Length": "5"}, 413),
        ("HEAD", "/health", {"Content-Length": "5"}, 413),
        ("GET", "/health", {"Content-Length": None, "Transfer-Encoding": "chunked"}, 413),
        ("POST", PATH, {"Content-Length": "1000001"}, 413),
        ("POST", PATH, {"Content-Length": "9" * 19}, 413),
        ("GET", "/health?" + "a&" * 5_000, {}, 414),
        ("POST", PATH + "?" + "a" * 9_000, {"Content-Length": "1000"}, 414),
    ],
)
def test_what_the_head_announces_is_rejected_before_any_body(
    method, path, headers, status, service
):
    answer = exchange(service, request(b"", path, method, headers), first=HEAD_SECONDS)
    assert statuses(answer) == [status]


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 405)])
def test_an_empty_body_and_a_long_query_are_accepted(method, status, service):
    answer = exchange(service, request(b"", "/health?" + "a&" * 4_000, method))
    assert statuses(answer) == [status]


def test_unfinished_bodies_share_one_budget_and_small_ones_get_through(service):
    async def scenario():
        clients = []
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(request(b"x" * 990_000, headers={"Content-Length": "999000"}))
            clients.append(writer)
        most = 0
        for _ in range(20):
            await asyncio.to_thread(answer_of, service)
            most = max(most, memory_of(service))
            await asyncio.sleep(0.05)
        for writer in clients:
            writer.close()
        return most

    before = memory_of(service)
    most = asyncio.run(scenario())
    assert most - before < MAX_GROWTH
    assert service.log.read_text(encoding="utf-8").count('"status": 503') >= 100


def test_slow_clients_are_cut_off_and_delay_nobody(service):
    keep = {"Connection": "keep-alive"}
    kept = request(b"", "/health", "GET", keep)
    too_large = request(b"x" * 1_100_000, headers={**keep, "Content-Length": "9000000"})
    longest = HEAD_SECONDS + IDLE_SECONDS + SECONDS
    begun = [b"G", b"GET / HTTP/1.1\r\nX: ", kept + b"GET /", too_large]
    starts = [(b"", b""), (kept, b""), (kept, b"\r\n"), *((start, b"y") for start in begun)]

    async def send_slowly(start, further):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(start)
        began = time.monotonic()
        try:
            while not reader.at_eof() and time.monotonic() - began < longest:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1_000), 0.5)
                writer.write(further)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()
        return time.monotonic() - began

    async def scenario():
        slow = [asyncio.create_task(send_slowly(*start)) for start in starts * 20]
        await asyncio.sleep(0.5)
        start = time.monotonic()
        await asyncio.to_thread(answer_of, service)
        seconds = time.monotonic() - start
        return seconds, await asyncio.gather(*slow)

    seconds, lasted = asyncio.run(scenario())
    assert seconds < HEAD_SECONDS / 2
    assert max(lasted) < longest


def test_abuse_does_not_keep_others_from_their_answers(service):
    chance = random.Random(13)
    hostile = [
        *map(request, [body for body in BODIES.values() if len(body) < 500_000]),
        *(content for content in FRAMES.values() if len(content) < 200_000),
        *(request(b"", path, "GET") for path in PATHS),
    ]

    async def abuse():
        for content in chance.choices(hostile, k=15):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            try:
                writer.write(content[: chance.randrange(1, len(content) + 2)])
                if chance.random() < 0.5:
                    answer = await asyncio.wait_for(reader.read(1_000_000), 0.5)
                    assert set(statuses(answer)) <= {*range(200, 500), 503}
            except (ConnectionError, TimeoutError):
                pass
            finally:
                writer.close()

    async def ask(client):
        found = []
        for _ in range(15):
            answer = await client.post(f"{service.url}{PATH}", json=QUESTION)
            found.append(answer.status_code)
            if answer.status_code == 200:
                assert answer.json() == expected
        return found

    async def scenario():
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            *_, one, other = await asyncio.gather(
                *(abuse() for _ in range(20)), ask(client), ask(client)
            )
        return [*one, *other]

    expected = answer_of(service)
    before = memory_of(service)
    found = asyncio.run(scenario())
    assert set(found) <= {200, 503}
    assert found.count(200) > 0
    assert memory_of(service) - before < MAX_GROWTH
