"""The deployment's scripts, as far as they need no container engine."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from keys import READER, VARIABLE, entry
from live import PATH, QUESTION, free_port, serving

from portfolio_kit.deploy import image, smoke_test


@pytest.fixture
def example():
    Path("scripts").mkdir()
    Path(smoke_test.EXAMPLE).write_text(json.dumps({"path": PATH, "body": QUESTION}), "utf-8")


def run(url):
    """Run the script as a workflow does, with nothing but the standard library."""
    command = [sys.executable, "-I", smoke_test.__file__, url]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_smoke_test_prints_the_answer(example, trained, tmp_path):
    with serving(trained.folder, tmp_path / "log") as process:
        done = run(f"{process.url}/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["labels"][0]["label"] == "short"


def test_a_smoke_test_sends_the_key_of_the_environment(example, trained, tmp_path, monkeypatch):
    variables = {VARIABLE: entry("alice", "read", READER)}
    with serving(trained.folder, tmp_path / "log", **variables) as process:
        url = process.url
        without = run(url)
        monkeypatch.setenv("API_KEY", READER)
        done = run(url)
    line = f"error: {url}{PATH} answered 401; set API_KEY to a key of this service\n"
    assert (without.returncode, without.stderr, without.stdout) == (1, line, "")
    assert done.returncode == 0, done.stderr


def test_a_service_that_does_not_get_ready_is_one_plain_line(example, monkeypatch):
    monkeypatch.setattr(smoke_test, "READY_SECONDS", 0.1)
    with pytest.raises(SystemExit, match=r"/ready did not answer 200 in 0\.1 s \("):
        smoke_test.wait_until_ready(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": [1.0, "x"]}, {"a": [1.00001, "x"]}, True),
        ({"a": [1.0, "x"]}, {"a": [1.1, "x"]}, False),
        ({"a": [1.0]}, {"a": [1.0, 1.0]}, False),
        ({"a": 1.0}, {"b": 1.0}, False),
        ({"a": "x"}, {"a": "y"}, False),
        ({"a": 1}, {"a": 2}, False),
        ({"a": None}, {"a": []}, False),
    ],
    ids=str,
)
def test_an_image_s_answer_is_compared_within_the_tolerance(one, other, expected):
    assert image.same(one, other) is expected


def test_an_image_needs_an_evaluated_model():
    with pytest.raises(SystemExit, match=r"models.manifest\.json: missing; run `make pipeline`"):
        write_pyproject_and_build()
    Path("models").mkdir()
    Path("reports").mkdir()
    Path("models/model.onnx").write_text("a model")
    model = hashlib.sha256(b"a model").hexdigest()[:12]
    Path("models/manifest.json").write_text('{"version": "b"}')
    with pytest.raises(SystemExit, match=rf"states version 'b', but model\.onnx is {model}"):
        write_pyproject_and_build()
    Path("models/manifest.json").write_text(json.dumps({"version": model}))
    Path("reports/metrics.json").write_text('{"model_version": "b"}')
    with pytest.raises(SystemExit, match="belongs to another model"):
        write_pyproject_and_build()


def write_pyproject_and_build():
    Path("pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    image.main()


def test_an_image_s_own_layers_are_those_of_its_last_stage(monkeypatch):
    layers = [(5, "COPY models"), (7, "RUN pip"), (0, "WORKDIR /app"), (90, "the base")]
    lines = "\n".join(json.dumps({"Size": str(size), "CreatedBy": by}) for size, by in layers)
    monkeypatch.setattr(image, "docker", lambda *arguments: lines)
    assert image.own_size("p:1") == 12
