"""The real server in a process of its own: shutting down, overloaded, and with awkward clients."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from api_fixtures import serving
from type_fixtures import SLOWLY

from {{cookiecutter.package_name}} import artifacts, config

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")


@pytest.fixture
def question(project):
    """The project's example request, as bytes of HTTP; `ask` sends it."""
    return question_of(project, {})


def question_of(project, more):
    example = json.loads((project / "scripts" / "example_request.json").read_text("utf-8"))
    body = json.dumps({**example["body"], **more}).encode()
    head = f"POST {example['path']} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


@pytest.fixture
def server(trained, tmp_path):
    """Run `serve` with the trained model, and yield the process, its port and its log."""
    with serving(trained.folder, tmp_path / "log") as process:
        yield process


async def ask(port, question, connection=None):
    """Return status, headers and body; on a connection of its own unless one is given."""
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
def test_no_request_is_lost_when_the_server_is_told_to_stop(keep_alive, server, question):
    outcomes = Counter()

    async def client():
        while True:
            try:
                connection = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                return  # the server has stopped to listen
            head = ""
            try:
                while not head or (keep_alive and "connection: close" not in head):
                    status, head, _ = await ask(server.port, question, connection)
                    outcomes[status] += 1
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


def test_a_model_that_cannot_be_loaded_is_a_failure(trained, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained.folder / "models", models)
    shutil.copy(trained.folder / "params.yaml", tmp_path)
    facts = artifacts.read_manifest(models, made_by="train")
    (models / "model.onnx").write_bytes(b"no model")
    artifacts.write_manifest(models, list(facts.pop("files")), facts)
    command = [sys.executable, "-m", config.__package__, "serve"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot be loaded" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@POSIX
def test_an_idle_server_stops_at_once(server):
    start = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=30)
    assert time.monotonic() - start < 3


def test_overloaded_it_answers_some_and_refuses_the_others(server, question):
    async def scenario():
        answers = await asyncio.gather(*(ask(server.port, question) for _ in range(600)))
        await asyncio.sleep(1)
        return answers, await ask(server.port, question)

    answers, afterwards = asyncio.run(scenario())
    assert {status for status, _, _ in answers} == {200, 503}
    for status, head, body in answers:
        if status == 503:
            assert int(re.search(r"retry-after: (\d+)", head)[1]) >= 1
            assert "try again" in json.loads(body)["detail"]
    assert afterwards[0] == 200


def test_a_client_that_goes_away_is_noticed(server, project):
    question = question_of(project, SLOWLY)

    async def scenario():
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(question[:-10])  # and never the rest
        await writer.drain()
        busy = [asyncio.create_task(ask(server.port, question)) for _ in range(20)]
        _, hasty = await asyncio.open_connection("127.0.0.1", server.port)
        hasty.write(question)
        await hasty.drain()
        for each in (writer, hasty):
            each.close()
        await asyncio.gather(*busy)
        await asyncio.sleep(0.2)

    asyncio.run(scenario())
    statuses = Counter(re.findall(r'"POST".*"status": (\d+)', server.log.read_text()))
    assert statuses["499"] == 2
    assert statuses["200"] + statuses["503"] == 20


def test_slow_clients_hold_up_nobody(server, question):
    async def dawdle(writer):
        for byte in question:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    async def scenario():
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        slow = [asyncio.create_task(dawdle(writer)) for _, writer in connections]
        await asyncio.sleep(0.2)
        start = time.monotonic()
        status, _, _ = await ask(server.port, question)
        seconds = time.monotonic() - start
        for task in slow:
            task.cancel()
        for _, writer in connections:
            writer.close()
        return status, seconds

    status, seconds = asyncio.run(scenario())
    assert status == 200
    assert seconds < 2  # they take longer by far
