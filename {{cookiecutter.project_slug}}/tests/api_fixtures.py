"""The API in the tests' own process, and what it leaves behind for `monitor`."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from {{cookiecutter.package_name}}.errors import UserError
from {{cookiecutter.package_name}}.serving.app import create_app

LABELS = "came.csv"


def wait_until_ready(client, seconds=60):
    deadline = time.monotonic() + seconds
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def ready_client(params, models):
    """Start the API and yield a client once its model is loaded."""
    with TestClient(create_app(params, models)) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture
def logged(trained):
    """Start the API of the trained model with a log of all answers; yield a client, and a list that
    has the log's lines once the API has stopped.
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
def refused_labels(configure):
    """Look at answers beside a file of labels, None for one that is missing; it has to be refused,
    for a reason.
    """
    from {{cookiecutter.package_name}}.monitoring import quality

    def refused(content, reason, answers, held_out):
        Path(LABELS).unlink(missing_ok=True)
        if content is not None:
            Path(LABELS).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=reason) as raised:
            quality.live_quality(answers, LABELS, held_out, configure({}))
        assert str(raised.value).startswith("monitor.labels: ")

    return refused
