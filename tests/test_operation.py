"""Watches each demo's service as its README says: answers are logged, and compared."""

import json
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from subprocess import Popen

import pytest
from conftest import environment, free_port, python

pytestmark = pytest.mark.slow
FOREIGN = "Preheat the oven, grease a tin with butter, and leave dough number {} to rise overnight."


@pytest.fixture(scope="module", params=["demo", "search_demo", "forecasting_demo"])
def project(request):
    """A trained project of each type."""
    return request.getfixturevalue(request.param)[1]


@contextmanager
def serving(project, folder):
    """Run the API with its log in a folder of the test's; yield a function that asks it."""
    package = next((project.path / "src").glob("*/__main__.py")).parent.name
    port = free_port()
    command = [python(project), "-m", package, "serve", "--set", f"serve.log.folder={folder}"]
    server = Popen(command, cwd=project.path, env=environment(PORT=str(port)))

    def ask(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()

    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ask("/ready")
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield ask
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0


def test_unchanged_data_are_quiet_and_three_changes_are_noticed(project):
    done = project.run(python(project), "-m", "benchmarks.drift", check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("windows (right in at least 95)") == 4


@pytest.mark.parametrize(
    ("demo_name", "path", "body"),
    [
        ("demo", "/predict", lambda text: {"texts": [text]}),
        ("search_demo", "/search", lambda text: {"query": text}),
    ],
)
def test_strange_texts_raise_an_alarm_that_prometheus_sees(
    demo_name, path, body, request, tmp_path
):
    project = request.getfixturevalue(demo_name)[1]
    before = project.read("reports/metrics.json")
    with serving(project, tmp_path) as ask:
        assert "drift_alarm" not in ask("/metrics")
        for number in range(150):
            ask(path, body(FOREIGN.format(number)))
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(path, {})
        time.sleep(1)  # the log is written beside the answers
        arguments = f"ARGS=--set serve.log.folder={tmp_path}"
        done = project.run("make", "monitor", arguments, check=False)
        try:
            assert "Error 3" in done.stderr  # as make tells the exit code
            assert "has drifted" in done.stdout
            assert "drift_alarm 1.0" in ask("/metrics")
            verdict = json.loads(project.read("reports/drift.json"))
            assert verdict["answers"] == 150
            assert verdict["data_quality"]["refused"] == 1
            assert "unknown_words has drifted" in project.read("reports/drift.html")
        finally:
            for name in ("drift.json", "drift.html"):
                (project.path / "reports" / name).unlink(missing_ok=True)
    assert project.read("reports/metrics.json") == before
