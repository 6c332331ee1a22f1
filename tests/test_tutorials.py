"""Follows the site's tutorials: their commands in order, in a copy of that type's demo."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest
from conftest import DEMOS, TEMPLATE, BakedProject, environment, python, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="written for a POSIX shell"),
]
GENERATE = "pipx run cookiecutter cookiecutter-ml-portfolio"
ADDRESS = "http://127.0.0.1:8000"
IDENTITY = {
    f"GIT_{role}_{part}": f"{part.lower()}@example.invalid"
    for role in ("AUTHOR", "COMMITTER")
    for part in ("NAME", "EMAIL")
}
# What the demo has done already, and what its copy shares with it.
DONE = ["make setup", "make pipeline"]
SHARED = (".venv", ".cache")
LEFT_OUT = shutil.ignore_patterns(*SHARED, "build", "predictions", "changes", "__pycache__")
# Columns of the gallery's tables.
METRICS = {
    "accuracy": "accuracy",
    "macro-F1": "macro_f1",
    "calibration error": "ece",
    "WAPE, %": "wape",
    "MASE": "mase",
    "RMSE": "rmse",
    "nDCG@10": "ndcg_at_10",
    "MRR@10": "mrr_at_10",
    "recall@10": "recall_at_10",
    "recall@100": "recall_at_100",
}


def blocks(name):
    """Return the fenced blocks of a tutorial: language and content."""
    text = (TEMPLATE / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)


class Reader:
    """Does what a tutorial says, and compares what it prints with what it shows."""

    def __init__(self, project, demo, outside):
        self.project, self.demo, self.outside = project, demo, outside
        self.skipped, self.patched, self.asked = [], 0, 0
        code = os.pathsep.join(str(project.path / name) for name in ("src", "kit"))
        self.variables = {"PYTHONPATH": code, **IDENTITY}  # not the demo's, which .venv links to
        self.server = ExitStack()
        self.url = self.typed = self.printed = None

    def sh(self, command):
        """Run a block of commands; commands that the demo has run are noted instead."""
        self.printed = None
        if command == GENERATE:
            self.typed = ""  # by the transcript below it
        elif command.startswith("cd "):
            assert (self.outside / command.removeprefix("cd ")).is_dir()
            assert command.removeprefix("cd ") == self.demo.path.name
        elif command in DONE:
            self.skipped.append(command)
        elif command.startswith("make serve"):
            self.serve(*shlex.split(command)[2:])
        else:
            self.asked += ADDRESS in command
            command = command.replace(ADDRESS, self.url or ADDRESS)
            done = self.project.run(
                *("bash", "-euo", "pipefail", "-c", command), check=False, **self.variables
            )
            assert done.returncode == 0, command + done.stdout + done.stderr
            self.printed = done.stdout

    def serve(self, options="ARGS="):
        """Stop the server if one runs, and start it with the options in ARGS."""
        self.server.close()
        options = shlex.split(options.removeprefix("ARGS="))
        served = running(
            *(python(self.project), self.project.package, self.project.path, *options),
            **self.variables,
        )
        self.url = self.server.enter_context(served)

    def diff(self, patch):
        """Apply a patch."""
        apply(patch, self.project)
        self.patched += 1

    def json(self, shown):
        """Compare with the output of the command above it."""
        assert_alike(json.loads(shown), json.loads(self.printed))

    def text(self, shown):
        """Look for each line, in order, in the output of the command above it."""
        if self.typed is not None:
            shown, self.printed = self.generate(shown)
            self.typed = None
        rest = " ".join(self.printed.split())
        for line in shown.splitlines():
            pattern = ".*?".join(re.escape(" ".join(part.split())) for part in line.split("…"))
            found = re.search(pattern, rest)
            assert found, f"{line!r} is not in {rest!r}"
            rest = rest[found.end() :]

    def generate(self, transcript):
        """Answer the prompts as a transcript does; return it without answers, and the output."""
        asked = re.findall(r"^(.*\)):( .*)?$", transcript, re.MULTILINE)
        command = [sys.executable, "-m", "cookiecutter", "--default-config", str(TEMPLATE)]
        done = subprocess.run(
            command,
            cwd=self.outside,
            env=environment(HOME=str(self.outside)),
            input="".join(f"{answer.strip()}\n" for _, answer in asked),
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(asked) == 8
        assert "Ada Lovelace" in (self.outside / self.demo.path.name / "LICENSE").read_text("utf-8")
        return re.sub(r"^(.*\)):( .*)?$", r"\1:", transcript, flags=re.MULTILINE), done.stdout


def apply(patch, project, *options):
    """Apply a patch to a project's files."""
    done = subprocess.run(
        ["git", "apply", *options],
        cwd=project.path,
        env=environment(),
        input=f"{patch}\n".encode(),  # as bytes: with line ends as they are
        capture_output=True,
    )
    assert done.returncode == 0, patch + done.stderr.decode()


def assert_alike(shown, printed):
    """Compare values; numbers may differ by a few percent, as models do between machines."""
    assert type(shown) is type(printed) or {type(shown), type(printed)} == {int, float}
    if isinstance(shown, dict):
        assert list(shown) == list(printed)
        for key in shown.keys() - {"model_version"}:
            assert_alike(shown[key], printed[key])
    elif isinstance(shown, list):
        assert len(shown) == len(printed)
        for pair in zip(shown, printed, strict=True):
            assert_alike(*pair)
    elif isinstance(shown, float | int):
        assert printed == pytest.approx(shown, rel=0.1, abs=0.1)
    else:
        assert shown == printed


@pytest.mark.parametrize("project_type", DEMOS)
def test_a_tutorial_does_what_it_says(project_type, request, tmp_path):
    demo = request.getfixturevalue(DEMOS[project_type])[1]
    copy = BakedProject(tmp_path / "copy")
    shutil.copytree(demo.path, copy.path, ignore=LEFT_OUT)
    for name in SHARED:
        (copy.path / name).symlink_to(demo.path / name)
    outside = tmp_path / "outside"
    outside.mkdir()
    reader = Reader(copy, demo, outside)
    with reader.server:
        for language, content in blocks(project_type):
            getattr(reader, language)(content)
    assert reader.skipped == DONE
    assert reader.patched
    assert reader.asked >= 4


@pytest.mark.parametrize("project_type", DEMOS)
def test_the_gallery_tells_what_the_demo_measures(project_type, request):
    metrics = json.loads(
        request.getfixturevalue(DEMOS[project_type])[1].read("reports/metrics.json")
    )
    measured = {"**this model**": metrics["model"], **metrics["baselines"]}
    gallery = (TEMPLATE / "docs" / "gallery.md").read_text(encoding="utf-8")
    title = project_type.replace("-", " ").capitalize()
    (section,) = re.findall(rf"^## {title}$(.*?)^## ", gallery, re.DOTALL | re.MULTILINE)
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    )
    assert {name for name, *_ in rows} == set(measured)
    for name, *cells in rows:
        for column, cell in zip(header[1:], cells, strict=True):
            told, value = float(cell.split()[0]), measured[name][METRICS[column]]
            assert told == pytest.approx(value, rel=0.05, abs=0.01), f"{name}, {column}"
