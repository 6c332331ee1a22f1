"""A pipeline that has run does not run again: not a second time, and not in a clone."""

import contextlib
import os
import re
import select
import shutil
import subprocess

import pytest
from conftest import DEMOS, BakedProject, python

pytestmark = pytest.mark.slow

# What a clone lacks; data and models are put in place.
LEFT_OUT = (".git", ".venv", ".cache", ".*_cache", "mlruns", "mlflow.db*", "tmp", "cache")


def through_a_pipe(command, folder, variables):
    """Run a command that succeeds, and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_a_terminal(command, folder, variables):
    """Do the same in a terminal, where programs draw bars and colours, and may ask."""
    ours, its = os.openpty()
    streams = {"stdin": its, "stdout": its, "stderr": its}
    process = subprocess.Popen(command, cwd=folder, env={**variables, "TERM": "xterm"}, **streams)
    os.close(its)
    printed = b""
    with contextlib.suppress(OSError):  # how Linux says that the last program has ended
        while select.select([ours], [], [], 300)[0] and (more := os.read(ours, 65536)):
            printed += more
    os.close(ours)
    assert process.wait(timeout=10) == 0, printed
    return printed.decode()


@pytest.mark.parametrize("project_type", DEMOS)
def test_a_clone_with_data_and_models_in_place_is_up_to_date(project_type, request, tmp_path):
    demo = request.getfixturevalue(DEMOS[project_type])[1]
    clone = BakedProject(tmp_path / demo.path.name)
    shutil.copytree(demo.path, clone.path, ignore=shutil.ignore_patterns(*LEFT_OUT, "__pycache__"))
    clone.run("git", "init", "--quiet")
    before = {name: (clone.path / name).read_bytes() for name in ("dvc.lock", "README.md")}
    # The environment of somebody who has nothing set up but this project.
    (tmp_path / "home").mkdir()
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(["src", "kit"]),  # in place of a separate environment
    }
    command = [python(demo), "-m", clone.package, "pipeline"]
    # The second time, Python has written bytecode next to the code.
    for run in (through_a_pipe, in_a_terminal):
        printed = run(command, clone.path, variables)
        assert re.findall(r"Running stage '(\w+)'", printed) == ["params"]
        assert printed.count("didn't change, skipping") == 4
        subprocess.run(
            [python(demo), "-m", "compileall", "-q", "src", "kit"], cwd=clone.path, env=variables
        )
    assert list((clone.path / "src").rglob("*.pyc"))
    assert {name: (clone.path / name).read_bytes() for name in before} == before
