"""The real server in its own process: shutdown, overload, awkward clients."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest
import uvicorn
from live import PATH, QUESTION, free_port, serving
from tiny.predictor import Manifest
from tiny.project import PROJECT

from portfolio_kit import artifacts
from portfolio_kit.serving.protocol import Protocol
from portfolio_kit.serving.server import Server

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")


BODY = json.dumps(QUESTION).encode()
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
REQUEST = HEAD.encode() + b"Content-Type: application/json\r\n\r\n" + BODY


@pytest.fixture
def server(trained, tmp_path):
    """A server whose model takes 10 ms per text: the process, its port and its log."""
    with serving(trained.folder, tmp_path / "log", TINY_SERVE__SECONDS_PER_TEXT="0.01") as process:
        yield process


async def ask(port, question, connection=None):
    """Return status, headers and body; opens a connection unless one is given."""
    reader, writer = connection or await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(question)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(re.search(r"content-length: (\d+)", head)[1])
        return int(head.split()[1]), head, await reader.readexactly(length)
    finally:
        if connection is None:
            writer.close()


@POSIX
@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "new connections"])
def test_no_request_is_lost_on_sigterm(keep_alive, server):
    outcomes = Counter()

    async def client():
        while True:
            try:
                connection = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                return  # the server has stopped listening
            head = ""
            try:
                while not head or (keep_alive and "connection: close" not in head):
                    status, head, _ = await ask(server.port, REQUEST, connection)
                    outcomes[status] += 1
                    await asyncio.sleep(0.1 if keep_alive else 0)  # with an idle connection
            except (OSError, asyncio.IncompleteReadError) as error:
                outcomes[repr(error)] += 1
            finally:
                connection[1].close()

    async def scenario():
        clients = [asyncio.create_task(client()) for _ in range(32)]
        await asyncio.sleep(1)
        server.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*clients), timeout=30)

    asyncio.run(scenario())
    assert server.wait(timeout=30) == 0
    assert set(outcomes) <= {200, 503}
    assert outcomes[200] > 0


@POSIX
def test_a_client_that_is_not_accepted_yet_is_answered_on_shutdown():
    """It has connected and sent its request while the server computed something else."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer"})

    async def scenario(listener):
        config = uvicorn.Config(app, http=Protocol, lifespan="off", log_config=None)
        config.load()
        server = Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await server.shutdown([listener])
            return client.recv(1000)

    assert asyncio.run(scenario(socket.create_server(("127.0.0.1", 0)))).startswith(b"HTTP/1.1 200")


@pytest.fixture
def broken_model(trained):
    """A model in the working directory whose file is listed properly, yet is not a model."""
    shutil.copytree(trained.models, artifacts.MODELS)
    (artifacts.MODELS / "model.onnx").write_bytes(b"not a model")
    manifest = artifacts.read_manifest(trained.models, Manifest, made_by="train")
    artifacts.write_manifest(artifacts.MODELS, list(manifest.files), manifest)


def test_a_model_that_cannot_be_loaded_ends_the_server_with_one_plain_line(broken_model):
    command = [sys.executable, "-m", PROJECT.package, "serve"]
    environment = {**os.environ, "PORT": str(free_port())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert lines[0].startswith("serving on http://127.0.0.1:")
    [reason] = [line for line in lines if "models" in line]
    assert re.fullmatch(r"models: cannot be loaded \(.+\); run `make train`", reason)
    assert not [line for line in lines if re.match(r"Traceback|\s|\w*Error", line)]


def test_no_signal_is_needed_for_that(broken_model, run, monkeypatch):
    def fail(*arguments):
        pytest.fail("a signal was sent")

    monkeypatch.setattr(signal, "raise_signal", fail)
    monkeypatch.setattr(os, "kill", fail)
    monkeypatch.setenv("PORT", str(free_port()))
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert run("serve").code == 1
    finally:
        signal.signal(signal.SIGTERM, handler)


@POSIX
def test_an_idle_server_stops_at_once(server):
    start = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=30)
    assert time.monotonic() - start < 3


def test_an_overloaded_server_answers_some_requests_and_rejects_the_others(server):
    async def scenario():
        answers = await asyncio.gather(*(ask(server.port, REQUEST) for _ in range(600)))
        await asyncio.sleep(1)
        return answers, await ask(server.port, REQUEST)

    answers, afterwards = asyncio.run(scenario())
    assert {status for status, _, _ in answers} == {200, 503}
    for status, head, body in answers:
        if status == 503:
            assert int(re.search(r"retry-after: (\d+)", head)[1]) >= 1
            assert "try again" in json.loads(body)["detail"]
    assert afterwards[0] == 200


def test_a_client_that_leaves_is_noticed(server):
    async def scenario():
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST[:-10])  # and never the rest
        await writer.drain()
        busy = [asyncio.create_task(ask(server.port, REQUEST)) for _ in range(20)]
        _, hasty = await asyncio.open_connection("127.0.0.1", server.port)
        hasty.write(REQUEST)
        await hasty.drain()
        for each in (writer, hasty):
            each.close()
        await asyncio.gather(*busy)
        await asyncio.sleep(0.2)

    asyncio.run(scenario())
    statuses = Counter(re.findall(r'"POST".*"status": (\d+)', server.log.read_text()))
    assert statuses["499"] == 2
    assert statuses["200"] + statuses["503"] == 20


def test_slow_clients_delay_nobody(server):
    async def dawdle(writer):
        for byte in REQUEST:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    async def scenario():
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        slow = [asyncio.create_task(dawdle(writer)) for _, writer in connections]
        await asyncio.sleep(0.2)
        start = time.monotonic()
        status, _, _ = await ask(server.port, REQUEST)
        seconds = time.monotonic() - start
        for task in slow:
            task.cancel()
        for _, writer in connections:
            writer.close()
        return status, seconds

    status, seconds = asyncio.run(scenario())
    assert status == 200
    assert seconds < 2  # they take far longer
