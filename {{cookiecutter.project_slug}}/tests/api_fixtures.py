"""The API in the tests' own process, and the log that it leaves for `monitor`."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from portfolio_kit.errors import UserError
from portfolio_kit.serving.app import create_app

from {{cookiecutter.package_name}}.project import PROJECT

LABELS = "labels.csv"


def wait_until_ready(client, seconds=60):
    deadline = time.monotonic() + seconds
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def ready_client(params, models):
    """Start the API and yield a client, on the same machine, once its model is loaded."""
    app = create_app(PROJECT, params, models, is_local=True)
    with TestClient(app, base_url="http://localhost") as client:
        wait_until_ready(client)
        yield client


@contextmanager
def serving(folder, log):
    """Run `serve` in a project's folder; yield the process, with its port and its log."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", PROJECT.package, "serve"],
            cwd=folder,
            env={**os.environ, "PORT": str(port)},
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


@pytest.fixture
def logged(trained):
    """Start the trained model's API with a log of all answers; yield a client, and a list that is
    filled with the log's lines when the API stops.
    """

    @contextmanager
    def logged(**settings):
        lines = []
        log = trained.params.serve.log.model_copy(update={"folder": "kept", "sample": 1.0})
        serve = trained.params.serve.model_copy(update={"log": log, **settings})
        params = trained.params.model_copy(update={"serve": serve})
        with ready_client(params, trained.folder / "models") as client:
            yield client, lines
        text = Path("kept/predictions.jsonl").read_text(encoding="utf-8")
        lines += map(json.loads, text.splitlines())

    return logged


@pytest.fixture
def rejected_labels(configure):
    """Score answers by a file of labels (None: no file), which must be rejected for a reason."""

    def rejected(content, reason, answers, held_out):
        Path(LABELS).unlink(missing_ok=True)
        if content is not None:
            Path(LABELS).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=reason) as raised:
            PROJECT.quality(answers, LABELS, held_out, configure({}))
        assert str(raised.value).startswith("monitor.labels: ")

    return rejected
