"""The tiny project's API, in the tests' process or in its own."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
from fastapi.testclient import TestClient
from tiny.project import PROJECT

from portfolio_kit.serving.app import create_app

PATH, QUESTION = "/label", {"texts": ["Is this a short one?"]}


def wait_until_ready(client, seconds=60):
    deadline = time.monotonic() + seconds
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def ready_client(params, models):
    """Start the API and yield a client once its model is loaded."""
    with TestClient(create_app(PROJECT, params, models)) as client:
        wait_until_ready(client)
        yield client


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def serving(folder, log, program=PROJECT.package, **variables):
    """Run `serve` in a project's folder; yield the process, with its port, URL and log."""
    port = free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", program, "serve"],
            cwd=folder,
            env={**os.environ, **variables, "PORT": str(port)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    process.port, process.log, process.url = port, log, f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not is_ready(process.url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the server did not get ready"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def is_ready(url):
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False
