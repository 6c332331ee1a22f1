"""Parameters: where they come from, which one wins, and how errors are reported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny.params import Params
from tiny.project import PROJECT

from portfolio_kit import config

PREFIX = PROJECT.package.upper()


@pytest.fixture
def in_force(run):
    """Return the parameters that a verb works with."""

    def recorded(*arguments):
        outcome = run("params", *arguments)
        assert outcome.code == 0, outcome
        return yaml.safe_load(Path(".params.yaml").read_text(encoding="utf-8"))

    return recorded


def test_values_come_from_the_file(in_force, write_params):
    write_params({"seed": 7, "data.source": "mine.csv"})
    assert in_force()["seed"] == 7
    assert in_force()["data"]["source"] == "mine.csv"


def test_set_wins_over_the_environment_and_that_over_the_file(in_force, write_params, monkeypatch):
    write_params({"seed": 1, "serve.threads": 1, "data.source": "file"})
    monkeypatch.setenv(f"{PREFIX}_SEED", "2")
    monkeypatch.setenv(f"{PREFIX}_SERVE__THREADS", "2")
    values = in_force("--set", "seed=3")
    assert values["seed"] == 3
    assert values["serve"]["threads"] == 2
    assert values["data"]["source"] == "file"


def test_set_can_be_repeated_and_the_last_one_wins(in_force):
    values = in_force("--set", "seed=3", "--set", "serve.threads=1", "--set", "seed=4")
    assert (values["seed"], values["serve"]["threads"]) == (4, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("data=sets/my notes.csv", "data=sets/my notes.csv"),
        ("hf://datasets/a/b@c/d.csv", "hf://datasets/a/b@c/d.csv"),
        ('"null"', "null"),
        ("12", "12"),
    ],
)
def test_set_parses_values_like_the_file(text, value, in_force):
    assert in_force("--set", f"data.sha256={text}")["data"]["sha256"] == value


def test_overrides_reach_child_processes_unchanged():
    overrides = ["seed=5", "data.source=a = b.csv", "serve.threads=3", "data.sha256=null"]
    variables = config.as_environment(PROJECT.package, overrides)
    inherited = config.load(Params, PROJECT.package, environment=variables)
    assert inherited == config.load(Params, PROJECT.package, overrides)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("sed", "seed"), ("serve.thread", "serve.threads"), ("data.sorce", "data.source")],
)
def test_an_unknown_key_names_the_nearest_one(wrong, nearest, rejection, monkeypatch, workspace):
    expected = f"there is no parameter {wrong!r}; the nearest is {nearest!r}"
    assert rejection("params", "--set", f"{wrong}=1") == [f"error: --set {wrong}: {expected}"]

    variable = f"{PREFIX}_{wrong.replace('.', '__')}".upper()
    with monkeypatch.context() as patch:
        patch.setenv(variable, "1")
        assert rejection("params") == [f"error: {variable}: {expected}"]

    section, _, name = wrong.rpartition(".")
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    (values[section] if section else values)[name] = 1
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert rejection("params") == [f"error: params.yaml: {expected}"]


@pytest.mark.parametrize("override", ["seed", "data", "=3", ""])
def test_set_without_a_key_or_value_is_rejected(override, rejection):
    [line] = rejection("params", "--set", override)
    assert line.startswith("error: --set")


@pytest.mark.parametrize(
    "override",
    [
        "seed=soon",
        "seed=1.5",
        "seed=-1",
        f"seed={2**32}",
        "seed=",
        "seed=[1",
        "serve.threads=0",
        "serve.threads=257",
        "serve.max_body_bytes=10",
        "data.source=null",
        "data.source=[a, b]",
        "data.source={a: b}",
    ],
)
def test_a_value_of_the_wrong_kind_or_size_is_rejected_where_it_was_set(
    override, rejection, monkeypatch
):
    key, _, value = override.partition("=")
    [line] = rejection("params", "--set", override)
    assert line.startswith(f"error: --set {key}: ")

    variable = f"{PREFIX}_{key.replace('.', '__')}".upper()
    with monkeypatch.context() as patch:
        patch.setenv(variable, value)
        [line] = rejection("params")
        assert line.startswith(f"error: {variable}: ")

    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    section, _, name = key.rpartition(".")
    (values[section] if section else values)[name] = [{}]
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    [line] = rejection("params")
    assert line.startswith(f"error: params.yaml: {key}: ")


def test_all_wrong_values_are_reported_at_once(rejection, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}_SERVE__THREADS", "0")
    first, second = rejection("params", "--set", "seed=soon")
    assert first.startswith("error: --set seed: ")
    assert second.startswith(f"error: {PREFIX}_SERVE__THREADS: ")


def test_a_missing_key_is_named(rejection):
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    del values["data"]["source"]
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    [line] = rejection("params")
    assert line.startswith("error: params.yaml: data.source")
    # The other keys of the section are fine.
    assert "sha256" not in line


@pytest.mark.parametrize("arguments", [(), ("--set", "serve.threads=1")], ids=["file", "override"])
def test_a_section_without_keys_is_rejected(arguments, rejection):
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump({**values, "serve": 5}), encoding="utf-8")
    for line in rejection("params", *arguments):
        assert line.startswith("error: params.yaml: serve")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"seed: [1\n", "cannot be read"),
        (b"\tseed: 1\n", "cannot be read"),
        (b"seed: 1\x07\n", "cannot be read"),
        (b"- seed\n- data\n", "must hold sections with keys"),
        (b"13\n", "must hold sections with keys"),
        (b"", "must hold sections with keys"),
        (b"author: Ren\xe9\n", "not UTF-8 at byte 11; save it as UTF-8"),
    ],
    ids=["open bracket", "tab", "control character", "list", "number", "empty", "not UTF-8"],
)
def test_a_file_that_is_not_a_mapping_is_rejected(content, reason, rejection):
    Path("params.yaml").write_bytes(content)
    [line] = rejection("params")
    assert line.startswith(f"error: params.yaml: {reason}")


def test_a_missing_file_is_reported(rejection):
    Path("params.yaml").unlink()
    assert rejection("params") == [
        "error: params.yaml: not found; run this in the project's folder"
    ]


def test_the_program_exits_with_1_after_one_plain_line():
    command = [sys.executable, "-m", PROJECT.package, "params", "--set", "sed=1"]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.startswith("error: --set sed: ")
    assert len(process.stderr.splitlines()) == 1
