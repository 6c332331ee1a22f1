"""Does what a new user does: `make demo`, and then every command of the project that it made."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import BakedProject, python, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(demo):
    return demo[0]


@pytest.fixture(scope="module")
def project(demo):
    return demo[1]


@pytest.fixture(scope="module")
def metrics(project):
    return json.loads(project.read("reports/metrics.json"))


def test_the_demo_prints_an_answer_and_the_metrics_beside_the_baselines(output, metrics, project):
    answer = json.loads(re.search(r"^{$.*?^}$", output, re.DOTALL | re.MULTILINE)[0])
    assert answer["model_version"] == metrics["model_version"]
    asked = json.loads(project.read("scripts/example_request.json"))["body"]["texts"]
    rows = pyarrow.parquet.read_table(project.path / "data/processed/train.parquet").to_pylist()
    known = {" ".join(row["text"].split()): row["label"] for row in rows}
    labels = [prediction["label"] for prediction in answer["predictions"]]
    assert labels == [known[text] for text in asked]
    assert len({*labels}) == len(labels) > 1
    for name, scores in {"this model": metrics["model"], **metrics["baselines"]}.items():
        assert re.search(rf"{re.escape(name)} .*macro_f1 {scores['macro_f1']:.3f}", output)


def test_the_model_beats_the_best_baseline(metrics):
    versus = metrics["versus_best_baseline"]
    best = max(metrics["baselines"].values(), key=lambda scores: scores["macro_f1"])
    assert metrics["baselines"][versus["baseline"]] == best
    assert versus["difference"] == pytest.approx(metrics["model"]["macro_f1"] - best["macro_f1"])
    assert versus["interval_95"][0] > 0


def test_export_loses_no_accuracy(project):
    assert json.loads(project.read("models/manifest.json"))["accuracy_lost"] <= 0.001


def test_what_was_evaluated_is_the_file_that_is_served(project, metrics):
    manifest = json.loads(project.read("models/manifest.json"))
    assert manifest["files"]["model.onnx"].startswith(metrics["model_version"])


@pytest.mark.skipif(os.name == "nt", reason="there is no ps on Windows")
def test_the_server_was_stopped(project):
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, encoding="utf-8")
    assert not [line for line in processes.stdout.splitlines() if str(project.path) in line]


def test_a_second_pipeline_skips_everything(project):
    before = project.read("reports/metrics.json")
    result = project.run("make", "pipeline")
    assert result.stdout.count("didn't change, skipping") == 4
    assert project.read("reports/metrics.json") == before


def test_the_project_passes_its_own_checks(project):
    result = project.run("make", "lint", check=False)
    assert result.returncode == 0, result.stdout


def test_the_project_passes_its_own_tests(project):
    result = project.run("make", "test", check=False)
    assert result.returncode == 0, result.stdout[-5000:]


def test_predict_answers_on_the_command_line(project):
    text = "'Malware logged keystrokes to steal passwords.'"
    result = project.run("make", "--silent", "predict", f"ARGS={text}")
    assert json.loads(result.stdout)[0]["label"] in {"credential-access", "collection"}


def test_scored_files_have_the_accuracy_that_was_evaluated(project, metrics, tmp_path):
    variables = {"SOURCE": "data/processed/test.parquet", "OUT": str(tmp_path / "scores")}
    result = project.run("make", "score", **variables)
    found = pyarrow.parquet.read_table(tmp_path / "scores" / "shards").to_pylist()
    right = sum(one["label"] == one["input_label"] for one in found) / len(found)
    assert len(found) == metrics["data"]["rows"]["test"]
    assert right == pytest.approx(metrics["model"]["accuracy"])
    assert "drift: none" in result.stdout


def test_a_bad_parameter_is_one_plain_line(project):
    result = project.run("make", "train", "ARGS=--set train.epoch=1", check=False)
    assert result.returncode != 0
    assert "error: --set train.epoch: there is no parameter" in result.stderr
    assert "'train.epochs'" in result.stderr
    assert "Traceback" not in result.stderr


def test_setup_is_quick_the_second_time(project):
    result = project.run("make", "setup")
    assert "installing torch" not in result.stdout
    assert re.search(r"\d+ packages, \d\.\d\d GB", result.stdout)


def test_no_cuda_came_along(project):
    listed = project.run(python(project), "-m", "pip", "list").stdout
    if sys.platform == "linux":
        assert re.search(r"^torch +\S+\+cpu$", listed, re.MULTILINE)
        assert "nvidia" not in listed


def test_the_api_runs_where_only_the_serve_extra_is_installed(project, tmp_path):
    """A wheel, as a container would install it: no torch, no transformers, no source tree."""
    uv = [python(project), "-m", "uv"]
    folder = tmp_path / "serving"
    environment_folder = folder / ".venv"
    project.run(*uv, "venv", "--quiet", str(environment_folder))
    install = [*uv, "pip", "install", "--quiet", "--python", str(environment_folder)]
    project.run(*install, f"{project.path}[serve]")
    listed = project.run(*uv, "pip", "list", "--python", str(environment_folder)).stdout
    assert not re.search(r"^(torch|transformers|pandas|scikit-learn) ", listed, re.MULTILINE)
    for name in ("models", "reports", "params.yaml"):
        (folder / name).symlink_to(project.path / name)
    interpreter = python(BakedProject(folder))
    with running(interpreter, project.package, folder) as url:
        page = urllib.request.urlopen(url).read().decode()
        assert "<textarea" in page
        model = json.load(urllib.request.urlopen(f"{url}/model"))
        assert model["metrics"]["macro_f1"] > 0.5
        docs = urllib.request.urlopen(f"{url}/docs").read().decode()
        assert not re.search(r"(src|href)=.https?:", docs)


def test_own_data_takes_nothing_but_parameters(project, tmp_path):
    """A CSV with other column names and an official test file, both over HTTP, to a prediction."""
    mine = BakedProject(tmp_path / "mine")
    made = (".venv", ".git", ".dvc", "data/processed", "models", "mlflow.db")
    shutil.copytree(
        project.path,
        mine.path,
        ignore=lambda folder, names: {
            name
            for name in names
            if (Path(folder) / name).relative_to(project.path).as_posix() in made
        },
    )
    header, *rows = project.read("tests/data/notes.csv").splitlines()
    served = tmp_path / "served"
    served.mkdir()
    (served / "train.csv").write_text("\n".join([header, *rows[:110]]), encoding="utf-8")
    (served / "test.csv").write_text("\n".join([header, *rows[110:]]), encoding="utf-8")
    with serving_files(served) as url:
        changes = {
            "data.source": f"{url}/train.csv",
            "data.sha256": sha256((served / "train.csv").read_bytes()).hexdigest(),
            "data.test_source": f"{url}/test.csv",
            "data.text_column": "note",
            "data.label_column": "team",
            "data.group_column": "null",
            "train.epochs": "2",
        }
        options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
        verbs = [python(project), "-m", mine.package]
        source = os.pathsep.join(str(mine.path / name) for name in ("src", "kit"))
        for verb in ("data", "train", "evaluate", "report"):
            done = mine.run(*verbs, verb, *options, check=False, PYTHONPATH=source)
            assert done.returncode == 0, done.stderr
    rows_by_split = json.loads(mine.read("reports/metrics.json"))["data"]["rows"]
    assert rows_by_split["test"] == len(rows) - 110
    answer = mine.run(*verbs, "predict", "The tap drips all night.", PYTHONPATH=source)
    assert json.loads(answer.stdout)[0]["label"] == "plumbing"


@contextlib.contextmanager
def serving_files(folder):
    """Serve a folder over HTTP on the loopback and yield its URL."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
