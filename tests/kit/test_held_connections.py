"""Clients that do not read, pipeline, never finish or hold connections: what they cost others.

The protocol runs in the tests' process, with little patience; the descriptors' limit needs another.
"""

import asyncio
import contextlib
import os
import socket
from functools import partial
from types import SimpleNamespace

import httpx
import psutil
import pytest
import uvicorn
from live import serving
from starlette.responses import PlainTextResponse, Response
from tiny.project import PROJECT

from portfolio_kit.serving import protocol, reading
from portfolio_kit.serving import server as server_module
from portfolio_kit.serving.app import create_app
from portfolio_kit.serving.middleware import REQUESTS
from portfolio_kit.serving.protocol import Protocol
from portfolio_kit.serving.server import Server

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of descriptors")
SECONDS = 10  # for what should take a moment, on a busy machine
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.5)


@contextlib.asynccontextmanager
async def served(app, **limits):
    """Serve an ASGI application in this loop, with small buffers; yield the server."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    http = partial(Protocol, **limits)
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None)
    config.timeout_graceful_shutdown = 1
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    server.port = listener.getsockname()[1]
    await server.startup([listener])
    try:
        yield server
    finally:
        await server.shutdown([listener])


async def connect(server, content=b""):
    """Send what a client sends that reads only when told to; return its socket."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", server.port))
    await loop.sock_sendall(client, content)
    return client


async def answer_to(client, until=b""):
    """Return what comes until the connection closes, or until these bytes."""
    found = b""
    async with asyncio.timeout(SECONDS):
        while not (until and until in found):
            part = await asyncio.get_running_loop().sock_recv(client, 1_000_000)
            if not part:
                break
            found += part
    return found


async def wait_for(condition):
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def answers(size, pieces=1, **headers):
    """Return an application that answers with so many bytes, in so many pieces."""

    async def app(scope, receive, send):
        length = [(b"content-length", b"%d" % size)]
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": [*length, *given]})
        for number in range(pieces):
            more = number < pieces - 1
            part = {"body": b"x" * (size // pieces), "more_body": more}
            await send({"type": "http.response.body", **part})

    return app


@pytest.mark.parametrize(
    ("app", "content"),
    [
        (answers(4_000_000), GET),
        (answers(4_000_000, connection="close"), GET),
        (answers(4_000_000, pieces=100), GET),
        (answers(4_000_000, pieces=100, connection="close"), GET),
        (answers(20_000), GET * 1_000),
    ],
    ids=["kept open", "closing", "in pieces", "in pieces, closing", "pipelined"],
)
def test_a_client_that_never_reads_is_let_go(app, content):
    async def scenario():
        async with served(app) as server:
            with await connect(server, content):
                await wait_for(lambda: server.server_state.connections)
                await wait_for(lambda: not server.server_state.connections)
                await wait_for(lambda: not server.server_state.tasks)

    asyncio.run(scenario())


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_reads_slowly_gets_everything(connection):
    """One that empties its part of the buffers again and again, more slowly than it is filled."""

    async def scenario():
        async with served(answers(1_000_000, pieces=20, connection=connection)) as server:
            with await connect(server, GET) as client:
                size = 0
                while size < 1_000_000:
                    part = await asyncio.get_running_loop().sock_recv(client, 20_000)
                    assert part
                    size += len(part)
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_of_unread_answers_the_largest_gives_way(monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", SECONDS)
    monkeypatch.setattr(protocol, "MAX_UNREAD_BYTES", 6_000_000)

    async def app(scope, receive, send):
        size = int(scope["path"][1:])
        await answers(size)(scope, receive, send)

    async def scenario():
        async with served(app) as server:
            clients = []
            for size in (2_000_000, 4_000_000, 1_500_000):
                clients.append(await connect(server, GET.replace(b"/ ", b"/%d " % size, 1)))
                await asyncio.sleep(0.1)
            await wait_for(lambda: len(server.server_state.connections) == 2)
            found = [len(await answer_to(clients[place], b"x" * 10_000)) for place in (0, 2)]
            kept = [
                one.transport.get_write_buffer_size() for one in server.server_state.connections
            ]
            for client in clients:
                client.close()
            return found, kept

    found, kept = asyncio.run(scenario())
    assert all(found)
    assert max(kept) < 2_000_000


def test_an_answer_that_nobody_reads_is_not_a_running_request(write_params, monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", SECONDS)
    monkeypatch.setattr(reading, "MAX_PENDING", 2)
    monkeypatch.setattr(reading, "READ_SECONDS", 0.05)
    app = create_app(PROJECT, write_params({}))
    app.state.queue = SimpleNamespace(check=lambda: None, requests=0)

    @app.post("/large")
    async def large():
        return Response(b"x" * 1_000_000)

    @app.post("/small")
    async def small():
        return Response(b"small")

    question = b"POST /large HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"

    async def scenario():
        async with served(app) as server:
            clients = []
            for _ in range(5):
                clients.append(await connect(server, question * 3))
                await asyncio.sleep(0.3)  # until its answer counts no longer
            assert all(one.flow.write_paused for one in server.server_state.connections)
            with await connect(server, question.replace(b"large", b"small")) as client:
                found = await answer_to(client, b"\r\n\r\n")
            for one in clients:
                one.close()
            return found

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200")


def test_a_client_that_pipelines_fills_no_memory():
    may_answer = asyncio.Event()

    async def app(scope, receive, send):
        await may_answer.wait()
        await PlainTextResponse("answer")(scope, receive, send)

    async def scenario():
        async with served(app) as server:
            with await connect(server) as client:
                loop = asyncio.get_running_loop()
                sending = asyncio.create_task(loop.sock_sendall(client, GET * 20_000))
                await asyncio.sleep(0.3)
                [one] = server.server_state.connections
                waiting = len(one.pipeline)
                may_answer.set()
                found = b""
                with contextlib.suppress(ConnectionError):  # for what it sent in vain
                    found = await answer_to(client, b"connection: close")
                sending.cancel()
                return waiting, found

    waiting, found = asyncio.run(scenario())
    assert waiting == protocol.MAX_PIPELINED
    assert found.count(b"HTTP/1.1 200") == protocol.MAX_PIPELINED + 1


def test_a_few_pipelined_requests_are_answered_in_their_order():
    async def app(scope, receive, send):
        message = await receive()
        await PlainTextResponse(scope["path"].encode() + message["body"])(scope, receive, send)

    def post(number):
        head = f"POST /{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n"
        return head.encode() + b"%d" % number * 5_000

    async def scenario():
        async with served(app) as server:
            with await connect(server) as client:
                for first in (0, 5):
                    loop = asyncio.get_running_loop()
                    content = b"".join(map(post, range(first, first + 5)))
                    sending = asyncio.create_task(loop.sock_sendall(client, content))
                    last = b"%d" % (first + 4) * 5_000
                    found = await answer_to(client, last)
                    await sending
                    places = [found.index(b"/%d%d" % (n, n)) for n in range(first, first + 5)]
                    assert places == sorted(places)
                    assert b"connection: close" not in found

    asyncio.run(scenario())


def test_a_request_is_stopped_with_its_connection_though_another_waits_behind_it():
    async def scenario():
        left = asyncio.Event()

        async def app(scope, receive, send):
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        async with served(app) as server:
            with await connect(server, GET * 2):
                await wait_for(lambda: server.server_state.tasks)
                [one] = server.server_state.connections
                await wait_for(lambda: one.pipeline)
                one.transport.abort()
                await asyncio.wait_for(left.wait(), SECONDS)
                await wait_for(lambda: not server.server_state.tasks)

    asyncio.run(scenario())


def test_one_connection_too_many_gets_a_503(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_SURPLUS", 2)
    monkeypatch.setattr(protocol, "SURPLUS_SECONDS", 0.5)

    async def scenario():
        async with served(answers(10), max_connections=3) as server:
            held = [await connect(server, GET[:-2]) for _ in range(3)]
            await wait_for(lambda: len(server.server_state.connections) == 3)
            before = REQUESTS.labels("unknown", 503)._value.get()
            with await connect(server, GET) as client:
                assert (await answer_to(client)).startswith(b"HTTP/1.1 503")
            assert REQUESTS.labels("unknown", 503)._value.get() == before + 1
            await wait_for(lambda: len(server.server_state.connections) == 3)
            silent = [await connect(server) for _ in range(2)]
            await wait_for(lambda: len(server.server_state.connections) == 5)
            with await connect(server) as client, contextlib.suppress(ConnectionError):
                assert not await answer_to(client)  # closed at once
            await wait_for(lambda: len(server.server_state.connections) == 3)
            held.pop().close()
            await wait_for(lambda: len(server.server_state.connections) == 2)
            with await connect(server, GET) as client:
                found = await answer_to(client, b"x" * 10)
            for one in held + silent:
                one.close()
            return found

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200")


def test_a_new_connection_takes_the_place_of_the_longest_idle_one():
    async def scenario():
        async with served(answers(10), idle={}, max_connections=3) as server:
            kept = [await connect(server, GET) for _ in range(3)]
            for one in kept:
                await answer_to(one, b"x" * 10)
            await asyncio.get_running_loop().sock_sendall(kept[0], GET)  # idle only from now on
            await answer_to(kept[0], b"x" * 10)
            with await connect(server, GET) as client:
                found = await answer_to(client, b"x" * 10)
            closed = await answer_to(kept[1])
            for one in (kept[0], kept[2]):
                await asyncio.get_running_loop().sock_sendall(one, GET)
                assert (await answer_to(one, b"x" * 10)).startswith(b"HTTP/1.1 200")
            for one in kept:
                one.close()
            return found, closed

    found, closed = asyncio.run(scenario())
    assert found.startswith(b"HTTP/1.1 200")
    assert closed == b""


def test_the_503_is_json_that_says_when_to_come_back():
    async def scenario():
        async with served(answers(10), max_connections=0) as server:
            with await connect(server, GET) as client:
                return await answer_to(client)

    head, _, body = asyncio.run(scenario()).partition(b"\r\n\r\n")
    assert b"retry-after: 1" in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b'{"detail":"Too many connections are open; try again later."}'


def test_probes_are_answered_on_the_operations_port_however_many_connections_there_are():
    async def scenario():
        async with served(answers(10), max_connections=0) as server:
            port = {"operations_port": server.port}
            server.config.http_protocol_class.keywords.update(port)
            with await connect(server, GET) as client:
                return await answer_to(client, b"x" * 10)

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200")


@POSIX
@pytest.mark.parametrize(
    ("limits", "raised", "fitting"),
    [
        ((256, 256), None, 64),
        ((100, 100), None, 1),
        ((1_024, 2_000), (2_000, 2_000), 936),
        ((1_024, 1_048_576), (8_320, 1_048_576), 4_096),
        ((256, -1), (8_320, -1), 4_096),
        ((65_536, 65_536), None, 4_096),
        ((-1, -1), None, 4_096),
    ],
)
def test_descriptors_are_raised_and_connections_fit_into_them(limits, raised, fitting, monkeypatch):
    import resource

    changes = []
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: changes.append(new))
    assert server_module.connections() == fitting
    assert [new for new in changes if new != limits] == ([raised] if raised else [])


@POSIX
def test_with_few_descriptors_nobody_gets_a_500(trained, tmp_path):
    limits = {"DESCRIPTORS": "200"}
    with serving(trained.folder, tmp_path / "log", program="tiny.impatient", **limits) as process:
        held = []
        for _ in range(300):
            client = socket.create_connection(("127.0.0.1", process.port), timeout=SECONDS)
            client.sendall(GET.replace(b"GET / ", b"POST /label "))
            held.append(client)
        most = psutil.Process(process.pid).num_fds()
        statuses = set()
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError):
                statuses.add(httpx.get(f"{process.url}/static/page.js").status_code)
        for client in held:
            client.close()
        assert statuses <= {200, 503}
        assert most < 200
        assert '"status": 500' not in process.log.read_text()
        assert "out of system resource" not in process.log.read_text()
