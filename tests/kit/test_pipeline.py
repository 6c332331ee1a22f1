"""The pipeline: what `dvc.yaml` compares, and how its stages run."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from portfolio_kit import pipeline

RECORD = Path(".params.yaml")


@pytest.fixture
def recorded(run):
    """Return the record that `params` writes."""

    def read(*arguments):
        assert run("params", *arguments).code == 0
        return yaml.safe_load(RECORD.read_text(encoding="utf-8"))

    return read


def test_an_override_changes_the_record(recorded, write_params):
    write_params({"seed": 1})
    assert recorded()["seed"] == 1
    assert recorded("--set", "seed=2")["seed"] == 2


def test_a_local_file_edited_in_place_changes_the_record(recorded, write_params):
    write_params({"data.source": "mine.csv", "data.sha256": None})
    Path("mine.csv").write_text("a,b\n", encoding="utf-8")
    before = recorded()["data"]
    assert recorded()["data"] == before
    Path("mine.csv").write_text("a,c\n", encoding="utf-8")
    assert recorded()["data"] != before


@pytest.mark.parametrize("source", [".", "..", "/", "/dev/zero", "~nosuchuser", "x" * 5_000])
def test_a_source_that_cannot_be_a_data_file_is_not_read(source, recorded, write_params):
    write_params({"data.source": source})
    assert recorded()["data"]["local_files"] == {}


def test_the_record_can_hold_any_script(recorded, write_params):
    write_params({"data.source": "données/заметки.csv", "data.sha256": None})
    assert recorded()["data"]["source"] == "données/заметки.csv"


@pytest.fixture
def dvc(monkeypatch):
    """Replace the program that runs stages; return its calls, and the exit code it will have."""
    called = SimpleNamespace(command=None, env=None, returncode=0)

    def run(command, env):
        called.command, called.env = command, env
        return called

    monkeypatch.setattr(pipeline.subprocess, "run", run)
    return called


def test_stages_run_with_this_interpreter_and_these_overrides(run, dvc):
    assert run("pipeline", "--set", "seed=2", "--set", "serve.threads=3").code == 0
    assert dvc.command[:3] == [sys.executable, "-m", "dvc"]
    assert dvc.env["PATH"].startswith(f"{Path(sys.executable).parent}{os.pathsep}")
    assert (dvc.env["TINY_SEED"], dvc.env["TINY_SERVE__THREADS"]) == ("2", "3")


def test_a_stage_that_fails_ends_the_pipeline_with_one_plain_line(rejection, dvc):
    dvc.returncode = 1
    [line] = rejection("pipeline")
    assert line.startswith("error: the pipeline stopped")
