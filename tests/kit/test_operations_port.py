"""Metrics and what is known of the model on a port that only the operator reaches."""

import asyncio
import os
import re
import signal
import socket

import httpx
import pytest
from fastapi.testclient import TestClient
from live import PATH, QUESTION, free_port, serving, wait_until_ready
from tiny.project import PROJECT

from portfolio_kit.serving.app import create_app

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
PRIVATE, PROBES = ["/metrics", "/model"], ["/health", "/ready"]
PUBLIC = ["/", "/static/page.js", "/docs", "/openapi.json", "/about"]


@pytest.fixture
def service(trained, tmp_path):
    """The real server with both ports; `operations` is the URL of the second."""
    port = str(free_port())
    variables = {"TINY_SERVE__OPERATIONS_PORT": port, "TINY_SERVE__ROOT_PATH": "/ml"}
    with serving(trained.folder, tmp_path / "log", **variables) as process:
        process.operations = f"http://127.0.0.1:{port}"
        yield process


def test_each_port_answers_its_routes_only(service):
    for method in ("GET", "HEAD"):
        for paths, public, operations in (
            (PRIVATE, 404, 200),
            (PROBES, 200, 200),
            (PUBLIC, 200, 404),
            (["/nowhere"], 404, 404),
        ):
            for path in (path for name in paths for path in (name, f"/ml{name}")):
                found = [
                    httpx.request(method, url + path).status_code
                    for url in (service.url, service.operations)
                ]
                assert found == [public, operations], path
    for odd in ("/%6detrics", "//metrics", "/metrics/", "/ml/ml/metrics", "/METRICS", "/model?a"):
        answer = httpx.get(service.url + odd, follow_redirects=True)
        assert answer.status_code == 404, odd
    assert httpx.post(f"{service.operations}{PATH}", json=QUESTION).status_code == 404
    assert httpx.post(f"{service.url}{PATH}", json=QUESTION).status_code == 200
    assert "/model" not in httpx.get(f"{service.url}/openapi.json").json()["paths"]
    text = httpx.get(f"{service.operations}/metrics").text
    assert f'http_requests_total{{route="{PATH}",status="200"}} 1.0' in text
    known, more = httpx.get(f"{service.url}/about"), httpx.get(f"{service.operations}/model")
    assert more.json().items() > known.json().items()
    assert set(more.json()) - set(known.json()) == {"data_sha256"}


def test_no_header_leads_to_the_other_port(service):
    port = service.operations.rpartition(":")[2]
    for headers in (
        {"Host": f"127.0.0.1:{port}"},
        {"X-Forwarded-Port": port, "X-Forwarded-Host": f"127.0.0.1:{port}"},
        {"Forwarded": f"host=127.0.0.1:{port}"},
    ):
        assert httpx.get(f"{service.url}/metrics", headers=headers).status_code != 200


def test_without_it_all_routes_are_on_one_port(trained, write_params):
    params = write_params({"serve.log.folder": None})
    with TestClient(create_app(PROJECT, params, trained.models)) as client:
        wait_until_ready(client)
        for path in PRIVATE + PROBES + PUBLIC:
            assert client.get(path).status_code == 200, path
        assert "/model" in client.get("/openapi.json").json()["paths"]


@POSIX
def test_no_request_on_either_port_is_lost_on_sigterm(service):
    body = b'{"texts": ["Is this a short one?"]}'
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    question = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    probe = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    outcomes = []

    async def client(port, request):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return  # the server has stopped listening
            is_kept = True
            try:
                while is_kept:
                    writer.write(request)
                    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
                    length = re.search(rb"content-length: (\d+)", answer)[1]
                    await reader.readexactly(int(length))
                    outcomes.append((port, answer.split()[1]))
                    is_kept = b"connection: close" not in answer
                    await asyncio.sleep(0.05)
            except (OSError, asyncio.IncompleteReadError) as error:
                outcomes.append((port, repr(error)))
            finally:
                writer.close()

    async def scenario():
        operations = int(service.operations.rpartition(":")[2])
        pairs = [(service.port, question), (operations, probe)] * 8
        clients = [asyncio.create_task(client(*pair)) for pair in pairs]
        await asyncio.sleep(1)
        service.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*clients), timeout=30)
        return operations

    operations = asyncio.run(scenario())
    assert service.wait(timeout=30) == 0
    assert {status for port, status in outcomes if port == operations} == {b"200"}
    assert {status for port, status in outcomes if port != operations} <= {b"200", b"503"}


@pytest.mark.parametrize("taken", ["by PORT", "by another program"])
def test_a_port_that_is_taken_is_one_plain_line(taken, trained, rejection, monkeypatch):
    monkeypatch.chdir(trained.folder)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = free_port() if taken == "by PORT" else other.getsockname()[1]
        monkeypatch.setenv("PORT", str(port if taken == "by PORT" else free_port()))
        [line] = rejection("serve", "--set", f"serve.operations_port={port}")
    assert "serve.operations_port" in line
    assert str(port) in line


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_rejected(value, rejection):
    [line] = rejection("params", "--set", f"serve.operations_port={value}")
    assert line.startswith("error: --set serve.operations_port")
