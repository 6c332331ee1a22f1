"""Stages killed at random moments, and training in two processes: the results stay the same."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from hashlib import sha256

import pytest
from conftest import BakedProject, environment, python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9"),
]
# Small data, the real encoder, and often enough a checkpoint.
SETTINGS = {
    "data.source": "tests/data/notes.csv",
    "data.sha256": "null",
    "data.text_column": "note",
    "data.label_column": "team",
    "data.group_column": "reporter",
    "train.epochs": 4,
    "train.batch_size": 8,
    "train.checkpoint_steps": 3,
    "evaluate.bootstrap_samples": 100,
}
TEXTS = ["The tap drips.", "Sparks fly from the socket.", "I lost my password.", "Mow the lawn!"]
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]


class Workshop(BakedProject):
    """A folder with what the stages need, worked on by the demo's environment and code."""

    def __init__(self, path, demo):
        super().__init__(path)
        self.demo = demo
        for name in ("params.yaml", "README.md", "dvc.yaml", "pyproject.toml", "src", "tests/data"):
            self.bring(demo.path / name, name)
        for name in (".cache/backbone", ".dvc/config"):
            self.bring(demo.path / name, name)
        self.run("git", "init", "--quiet")

    def bring(self, source, name):
        """Copy a file or folder to `name`."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, self.path / name)

    def start(self, verb, *arguments, launch=(), **settings):
        """Start a verb in a process group of its own."""
        package = next((self.demo.path / "src").glob("*/__main__.py")).parent.name
        options = [f"--set={key}={value}" for key, value in {**SETTINGS, **settings}.items()]
        return subprocess.Popen(
            [python(self.demo), *launch, "-m", package, verb, *options, *arguments],
            cwd=self.path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def finish(self, verb, *arguments, **options):
        """Run a verb to its end, and return what it printed."""
        process = self.start(verb, *arguments, **options)
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, output[-2000:] + errors[-2000:]
        return output

    def killed(self, verb, after):
        """Run a verb for so many seconds; tell whether it was killed before its end."""
        process = self.start(verb)
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            wait_for_end(process.pid)
            return True
        assert process.returncode == 0
        return False

    def results(self):
        """Return what the stages wrote, less what differs from run to run: times and memory."""
        model = json.loads(self.read("models/manifest.json"))
        metrics = json.loads(self.read("reports/metrics.json"))
        for run_dependent in ("train_seconds", "peak_memory_mb"):
            metrics.pop(run_dependent)
        data = {path.name: path.read_bytes() for path in (self.path / "data/processed").iterdir()}
        return data, model["files"], metrics, self.read("reports/errors.md")

    def is_whole(self, folder):
        """Tell whether a folder's manifest lists what is there; raise if it does and is not."""
        manifest = self.path / folder / "manifest.json"
        if not manifest.exists():
            return False
        for name, expected in json.loads(manifest.read_text())["files"].items():
            if sha256((self.path / folder / name).read_bytes()).hexdigest() != expected:
                return False
        return True


def wait_for_end(group, seconds=30):
    """Wait until nothing is left of a process group: DVC takes what is not yet reaped for alive."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def make(demo, tmp_path_factory):
    """Return a function that makes a workshop."""
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"), demo[1])


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


def test_training_killed_ten_times_ends_with_the_same_model(make, reference, moments):
    undisturbed, seconds = reference
    workshop = make()
    workshop.finish("data")
    kills, resumable = 0, 0
    while kills < 10:
        if workshop.killed("train", moments.uniform(0.2, seconds["train"])):
            kills += 1
            resumable += (workshop.path / ".cache/checkpoint.safetensors").exists()
        else:
            assert workshop.is_whole("models")
            shutil.rmtree(workshop.path / "models")  # it came to its end: from the start again
    workshop.finish("train")
    workshop.finish("evaluate")
    assert workshop.results() == undisturbed.results()
    assert resumable > 0


@pytest.mark.parametrize("verb", ["data", "evaluate", "pipeline"])
def test_any_other_stage_starts_over_cleanly(verb, make, reference, moments):
    undisturbed, seconds = reference
    workshop = make()
    if verb == "evaluate":
        for folder in ("data/processed", "models", ".cache/trained.safetensors"):
            workshop.bring(undisturbed.path / folder, folder)
    longest = sum(seconds.values()) if verb == "pipeline" else seconds[verb]
    for _ in range(3):
        workshop.killed(verb, moments.uniform(0.2, longest))
    workshop.finish(verb)
    if verb == "data":
        assert workshop.is_whole("data/processed")
        read = (workshop.path / "data/processed/train.parquet").read_bytes()
        assert read == (undisturbed.path / "data/processed/train.parquet").read_bytes()
    else:
        assert workshop.results() == undisturbed.results()


def test_two_processes_train_what_one_trains(make, reference):
    undisturbed, _ = reference
    trained = []
    for launch in ((), LAUNCH):
        workshop = make()
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
        workshop.bring(undisturbed.path / "data/processed", "data/processed")
        workshop.finish("train", launch=launch, **settings)
        manifest = json.loads(workshop.read("models/manifest.json"))
        answers = json.loads(workshop.finish("predict", *TEXTS))
        trained.append((manifest["validation"], [a["probabilities"] for a in answers]))
    (scores, answers), (scores_of_two, answers_of_two) = trained
    assert scores_of_two == pytest.approx(scores, abs=0.01)
    for one, two in zip(answers, answers_of_two, strict=True):
        assert two == pytest.approx(one, abs=0.01)
