"""Ejecting: a kit module and its tests become the author's, and everything still fits together."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHOICES, SKELETON, BakedProject, commit, environment, python

from portfolio_tools import writing
from portfolio_tools.eject import EjectError, eject, kit_modules
from portfolio_tools.imports import imported, rewrite

PACKAGE = "attack_tactic_classifier"
SRC = f"src/{PACKAGE}"
MOVED = {"kit.a": "mine.a", "kit.serving.queue": "mine.serving.queue"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from kit.a import one, two as three\n", "from mine.a import one, two as three\n"),
        ("from kit.a import (\n    one,  # why\n)\n", "from mine.a import (\n    one,  # why\n)\n"),
        ("from kit import a\n", "from mine import a\n"),
        ("from kit import a as b, c\n", "from mine import a as b\nfrom kit import c\n"),
        ("if 1:\n from kit import b, a\n", "if 1:\n from kit import b\n from mine import a\n"),
        ("from kit.serving import queue as q\n", "from mine.serving import queue as q\n"),
        ("import kit.a, json\nkit.a.f(kit.b)\n", "import mine.a, json\nmine.a.f(kit.b)\n"),
        ("import kit.a as a\na.f()\n", "import mine.a as a\na.f()\n"),
        ('RUN = ["-m", "kit.a", "kit.ab"]\n', 'RUN = ["-m", "mine.a", "kit.ab"]\n'),
        ('patch("kit.a.LIMIT", "é")\n', 'patch("mine.a.LIMIT", "é")\n'),
        ("from kit.ab import a\nimport kit\n", "from kit.ab import a\nimport kit\n"),
        ("from .a import b\n", "from .a import b\n"),
    ],
)  # fmt: skip
def test_imports_follow_a_module(before, after):
    assert rewrite(before, MOVED) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from .model import Model\n", "from kit.serving.model import Model\n"),
        ("from ..a import one\n", "from mine.a import one\n"),
        ("from .. import a, b\n", "from mine import a\nfrom kit import b\n"),
        ("from . import queue\n", "from mine.serving import queue\n"),
        ("import json\n", "import json\n"),
    ],
)
def test_relative_imports_of_a_copy_become_absolute(before, after):
    assert rewrite(before, MOVED, "kit.serving.app", absolute=True) == after


def contents(project):
    """Return all files of a project with their bytes."""
    return {name: (project.path / name).read_bytes() for name in project.files()}


@pytest.fixture
def mine(project, tmp_path):
    """Return a project that a test may change."""
    shutil.copytree(project.path, tmp_path / "project")
    return BakedProject(tmp_path / "project")


def test_a_module_becomes_the_authors(mine):
    before = contents(mine)
    said = eject(mine.path, ["intervals"])
    new = mine.files() - before.keys()
    assert {f"{SRC}/intervals.py", "kit/ejected.json", "tests/ejected/test_intervals.py"} <= new
    assert all(name.startswith("tests/ejected/") for name in new - {*new} & {*before})
    kept = "kit/portfolio_kit/intervals.py"
    assert mine.read(kept) == before[kept].decode()
    assert mine.read(f"{SRC}/intervals.py").count("\n") == mine.read(kept).count("\n")

    for name in mine.files():
        if name.startswith(("src/", "tests/", "benchmarks/")) and name.endswith(".py"):
            assert "portfolio_kit.intervals" not in imported(mine.read(name)), name
    assert f"from {PACKAGE}.intervals import" in mine.read(f"{SRC}/evaluation/evaluate.py")
    assert f"      - {SRC}/intervals.py\n" in mine.read("dvc.yaml")
    assert "      - kit/portfolio_kit/intervals.py\n" in mine.read("dvc.yaml")
    record = json.loads(mine.read("kit/ejected.json"))["intervals"]
    assert record["file"] == f"{SRC}/intervals.py"
    assert record["version"] in mine.read("kit/portfolio_kit/__init__.py")
    assert len(record["sha256"]) == 64

    printed = "\n".join(said)
    assert "These kit modules still use the kit's copy: monitoring.outcomes." in printed
    assert "-m portfolio_kit eject monitoring.outcomes\n" in printed


def test_modules_that_follow_each_other_use_each_other(mine):
    eject(mine.path, ["serving.queue"])
    assert "from portfolio_kit.serving.model import" in mine.read(f"{SRC}/serving/queue.py")
    eject(mine.path, ["portfolio_kit.serving.model", "bench.rivals"])
    assert f"from {PACKAGE}.serving.model import" in mine.read(f"{SRC}/serving/queue.py")
    assert f"from {PACKAGE}.serving.model import" in mine.read(f"{SRC}/predictor.py")
    assert mine.has_file(f"{SRC}/bench/__init__.py")
    assert {*json.loads(mine.read("kit/ejected.json"))} == {
        "bench.rivals",
        "serving.model",
        "serving.queue",
    }


def test_a_module_brings_the_files_that_it_reads(mine):
    eject(mine.path, ["serving.page", "bench.load"])
    for name in ("serving/static/page.css", "serving/static/page.js", "bench/load.js"):
        assert mine.read(f"{SRC}/{name}") == mine.read(f"kit/portfolio_kit/{name}")
    assert mine.has_file(f"{SRC}/serving/static/index.html")


@pytest.mark.parametrize("project_type", CHOICES["project_type"])
def test_every_module_can_be_ejected(project_type, bake):
    """All at once: no import of the kit's copy is left, and none is of something missing."""
    project = bake(project_type=project_type)
    package = project.package
    modules = kit_modules(project.path)
    src = project.path / "src" / package  # where some of the author's have the same names
    modules = [name for name in modules if not (src / f"{name.replace('.', '/')}.py").exists()]
    assert len(modules) > 35
    eject(project.path, modules)
    known = {f"{package}.{module}" for module in modules}
    used = set()
    for name in project.files():
        if name.startswith(("src/", "tests/", "benchmarks/")) and name.endswith(".py"):
            ast.parse(project.read(name))
            found = imported(project.read(name))
            assert not {f"portfolio_kit.{module}" for module in modules} & found, name
            used |= found & known
    assert len(used) > len(modules) / 2
    compiled = project.run(sys.executable, "-m", "compileall", "-q", "src", "tests")
    assert compiled.returncode == 0


def place_in_the_way(project):
    (project.path / SRC / "intervals.py").write_text("MINE = 1\n", encoding="utf-8")


def ejected_before(project):
    eject(project.path, ["intervals"])


def damaged_record(project):
    (project.path / "kit/ejected.json").write_text("[1]", encoding="utf-8")


def twin_tests(project):
    (project.path / "tests/test_intervals.py").write_text("MINE = 1\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "prepare", "line"),
    [
        ("interval", None, "interval: is not a module of the kit; the nearest is intervals"),
        ("serving", None, "serving: is a package; name its modules: serving.access serving."),
        ("__init__", None, "__init__: is not a module of the kit"),
        ("intervals", place_in_the_way, f"{SRC}/intervals.py exists already; rename or remove it"),
        ("intervals", ejected_before, f"intervals: is ejected already, to {SRC}/intervals.py"),
        ("intervals", damaged_record, "kit/ejected.json: is damaged; restore it from git"),
        ("intervals", twin_tests, "tests/test_intervals.py exists already; rename it, or add --w"),
    ],
    ids=["unknown", "package", "init", "in the way", "again", "damaged record", "twin tests"],
)
def test_what_cannot_be_ejected_gets_one_line_and_changes_nothing(module, prepare, line, mine):
    if prepare:
        prepare(mine)
    before = contents(mine)
    done = command(mine.path, "pipeline", module)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1
    assert contents(mine) == before


def command(folder, *arguments):
    """Run what `python -m portfolio_kit eject` runs."""
    program = shutil.which("portfolio-eject", path=os.path.dirname(sys.executable))
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment(), capture_output=True, encoding="utf-8"
    )


def test_outside_a_project_there_is_nothing_to_eject(tmp_path):
    with pytest.raises(EjectError, match="is not a project with a kit"):
        eject(tmp_path, ["intervals"])


def test_tests_can_be_left_out(mine):
    twin_tests(mine)
    assert command(mine.path, "intervals", "--without-tests").returncode == 0
    assert not (mine.path / "tests/ejected").exists()


@pytest.mark.parametrize("room", [1, 2, 9])
def test_nothing_is_half_written(room, mine, monkeypatch):
    """The disk is full at some point on the way: everything is as it was."""
    before, write, written = contents(mine), Path.write_bytes, []

    def write_bytes(path, content):
        written.append(path)
        if len(written) == room:
            write(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(writing.Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No space left"):
        eject(mine.path, ["intervals"])
    assert contents(mine) == before


def test_an_ejected_module_survives_an_update(command_line, linked):
    project, template = linked
    eject(project.path, ["intervals"])
    copy, kept = f"{SRC}/intervals.py", "kit/portfolio_kit/intervals.py"
    mine = project.read(copy) + "\nMINE = 1\n"
    (project.path / copy).write_text(mine, encoding="utf-8")
    commit(project, "Own the intervals")

    file = template.path / SKELETON.name / kept
    theirs = file.read_text(encoding="utf-8") + "\nTHEIRS = 1\n"
    file.write_text(theirs, encoding="utf-8")
    commit(template, "Change the intervals")
    done = command_line("cruft", "update", "--skip-apply-ask", folder=project.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.read(copy) == mine
    assert project.read(kept) == theirs
    assert "intervals" in json.loads(project.read("kit/ejected.json"))
    assert not list(project.path.rglob("*.rej"))


@pytest.mark.slow
def test_the_tests_of_ejected_modules_pass_in_the_project(mine, demo):
    """Next to the project's own, in its environment, after `make format`."""
    _, trained = demo
    eject(mine.path, ["intervals", "artifacts", "serving.queue", "monitoring.drift", "text.tokens"])
    found = {path.name for path in (mine.path / "tests/ejected").rglob("test_*.py")}
    assert {"test_intervals.py", "test_serving_queue.py", "test_monitoring_drift.py"} <= found
    interpreter = python(trained)
    mine.run(interpreter, "-m", "ruff", "check", "--fix", ".")
    mine.run(interpreter, "-m", "ruff", "format", ".")
    code = {"PYTHONPATH": os.pathsep.join(str(mine.path / name) for name in ("src", "kit"))}
    mine.run(interpreter, "-m", "mypy", **code)
    tests = ("tests/ejected", "tests/test_scores.py")
    done = mine.run(interpreter, "-m", "pytest", "-q", *tests, check=False, **code)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
