"""Stages killed at random moments, and training in two processes: the results stay the same."""

import contextlib
import json
import math
import os
import random
import shutil
import subprocess
import time
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from conftest import Workshop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9"),
]
# Small data, and often enough a checkpoint.
NOTES = {
    "data.source": "tests/data/notes.csv",
    "data.sha256": "null",
    "data.text_column": "note",
    "data.label_column": "team",
    "data.group_column": "reporter",
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.checkpoint_steps": 3,
    "evaluate.bootstrap_samples": 100,
}
HIRES = {
    "data.source": "hires.csv",
    "data.sha256": "null",
    "data.past_columns": "[]",
    "model.seasons": 1,
    "train.checkpoint_steps": 3,
    "evaluate.bootstrap_samples": 100,
}
SEARCH = {
    "data.source": "tests/data",
    "data.sha256": "null",
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.checkpoint_steps": 3,
    "evaluate.bootstrap_samples": 100,
}
TEXTS = ["The tap drips.", "Sparks fly from the socket.", "I lost my password.", "Mow the lawn!"]
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]


def write_hires(path, days=80):
    """Write hourly hires of some weeks, with a day and noise in them."""
    noise, lines = random.Random(3), ["ts,count"]
    for hour in range(24 * days):
        moment = datetime(2024, 3, 1) + timedelta(hours=hour)
        usual = 100 - 50 * math.cos(2 * math.pi * moment.hour / 24)
        lines.append(f"{moment:%Y-%m-%d %H:%M:%S},{round(usual + noise.gauss(0, 5))}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Survivor(Workshop):
    """A workshop whose stages are killed."""

    kills = 4  # of training

    def killed(self, verb, after):
        """Run a verb for so many seconds; tell whether it was killed before its end."""
        process = self.start(verb)
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            kill(process)
            return True
        assert process.returncode == 0
        return False

    def kill_once_written(self, verb, name):
        """Run a verb until it has written a file, and kill it."""
        process = self.start(verb)
        while not (self.path / name).exists():
            assert process.poll() is None, "it ended first"
            time.sleep(0.01)
        kill(process)

    def results(self):
        """Return what the stages wrote, less what differs from run to run: times and memory."""
        model = json.loads(self.read("models/manifest.json"))
        metrics = json.loads(self.read("reports/metrics.json"))
        for run_dependent in ("train_seconds", "peak_memory_mb", "index"):
            metrics.pop(run_dependent, None)
        data = {path.name: path.read_bytes() for path in (self.path / "data/processed").iterdir()}
        errors = "reports/errors.md"  # a forecaster has none
        return data, model["files"], metrics, self.read(errors) if self.has_file(errors) else ""

    def is_whole(self, folder):
        """Tell whether a folder's manifest lists what is there; raise if it does and is not."""
        manifest = self.path / folder / "manifest.json"
        if not manifest.exists():
            return False
        for name, expected in json.loads(manifest.read_text())["files"].items():
            if sha256((self.path / folder / name).read_bytes()).hexdigest() != expected:
                return False
        return True


def kill(process):
    """Kill a process and its group, and wait until nothing is left of them."""
    os.killpg(process.pid, 9)
    process.communicate()
    wait_for_end(process.pid)


def wait_for_end(group, seconds=30):
    """Wait until nothing is left of a process group: DVC takes what is not yet reaped for alive."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def make_classifier(demo, tmp_path_factory):
    """Return a function that makes a workshop of a text classifier, with the real encoder."""
    brought = ("tests/data", ".cache/backbone")

    def make_classifier():
        workshop = Survivor(tmp_path_factory.mktemp("workshop"), demo[1], NOTES, brought)
        workshop.kills = 10
        return workshop

    return make_classifier


@pytest.fixture(scope="module")
def make_forecaster(forecasting_demo, tmp_path_factory):
    """Return a function that makes a workshop of a forecaster."""

    def make_forecaster():
        workshop = Survivor(tmp_path_factory.mktemp("workshop"), forecasting_demo[1], HIRES)
        write_hires(workshop.path / "hires.csv")
        return workshop

    return make_forecaster


@pytest.fixture(scope="module")
def make_search(search_demo, tmp_path_factory):
    """Return a function that makes a workshop of a search service, with the real encoder."""
    brought = ("tests/data", ".cache/backbone")
    return lambda: Survivor(tmp_path_factory.mktemp("workshop"), search_demo[1], SEARCH, brought)


# Every run kills the quickest; the others' own tests interrupt their training, too.
ENCODERS = [
    pytest.param(name, marks=pytest.mark.nightly) for name in ("make_classifier", "make_search")
]


@pytest.fixture(scope="module", params=["make_forecaster", *ENCODERS])
def make(request):
    """Return a function that makes a workshop, of each project type."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def reference(make):
    """Return a workshop in which nothing was interrupted, and the seconds of each stage."""
    workshop, seconds = make(), {}
    for verb in ("data", "train", "evaluate", "report"):
        start = time.perf_counter()
        workshop.finish(verb)
        seconds[verb] = time.perf_counter() - start
    return workshop, seconds


@pytest.fixture
def moments(request):
    """Random moments, which a failure shows."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)


def test_training_killed_again_and_again_ends_with_the_same_model(make, reference, moments):
    undisturbed, seconds = reference
    workshop = make()
    workshop.finish("data")
    workshop.kill_once_written("train", ".cache/checkpoint.safetensors")
    kills = 1
    while kills < workshop.kills:
        if workshop.killed("train", moments.uniform(0.2, seconds["train"])):
            kills += 1
        else:
            assert workshop.is_whole("models")
            shutil.rmtree(workshop.path / "models")  # it came to its end: from the start again
    workshop.finish("train")
    workshop.finish("evaluate")
    assert workshop.results() == undisturbed.results()


@pytest.mark.parametrize("verb", ["data", "evaluate"])
def test_any_other_stage_starts_over_cleanly(verb, make, reference, moments):
    undisturbed, seconds = reference
    workshop = make()
    if verb == "evaluate":
        for folder in ("data/processed", "models"):
            workshop.bring(undisturbed.path / folder, folder)
    for _ in range(3):
        workshop.killed(verb, moments.uniform(0.2, seconds[verb]))
    workshop.finish(verb)
    if verb == "data":
        assert workshop.is_whole("data/processed")
        read = (workshop.path / "data/processed/train.parquet").read_bytes()
        assert read == (undisturbed.path / "data/processed/train.parquet").read_bytes()
    else:
        assert workshop.results() == undisturbed.results()


# The same for every project type, and quickest with this one.
@pytest.mark.parametrize("make", ["make_forecaster"], indirect=True, scope="module")
def test_a_pipeline_goes_on_with_the_stage_in_which_it_was_killed(make, reference, moments):
    undisturbed, seconds = reference
    workshop = make()
    for _ in range(3):
        workshop.killed("pipeline", moments.uniform(0.2, sum(seconds.values())))
    workshop.finish("pipeline")
    assert workshop.results() == undisturbed.results()


@pytest.mark.nightly
def test_two_processes_train_what_one_trains(make_classifier):
    trained = []
    for launch in ((), LAUNCH):
        workshop = make_classifier()
        # Each process draws its own dropout: without it, the results can be compared.
        backbone = workshop.path / "backbone"
        weights = next((workshop.path / ".cache/backbone").glob("*/model.safetensors"))
        shutil.copytree(weights.parent, backbone)
        config = json.loads((backbone / "config.json").read_text())
        config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        (backbone / "config.json").write_text(json.dumps(config))
        settings = {
            "model.backbone": "backbone",
            "train.dropout": 0,
            "train.precision": "fp32",
            "train.threads": 1,
        }
        workshop.finish("data", **settings)
        workshop.finish("train", launch=launch, **settings)
        manifest = json.loads(workshop.read("models/manifest.json"))
        answers = json.loads(workshop.finish("predict", *TEXTS))
        trained.append((manifest["validation"], [a["probabilities"] for a in answers]))
    (scores, answers), (scores_of_two, answers_of_two) = trained
    assert scores_of_two == pytest.approx(scores, abs=0.01)
    for one, two in zip(answers, answers_of_two, strict=True):
        assert two == pytest.approx(one, abs=0.01)
