"""A pipeline that has run does not run again: not a second time, and not in a clone."""

import os
import shutil
import subprocess

import pytest
from conftest import DEMOS, BakedProject, python

pytestmark = pytest.mark.slow

# What a clone lacks; data and models are put in place.
LEFT_OUT = (".git", ".venv", ".cache", ".*_cache", "mlruns", "mlflow.db*", "tmp", "cache")


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
    for _ in range(2):  # the second time, Python has written bytecode next to the code
        done = subprocess.run(
            [python(demo), "-m", clone.package, "pipeline"],
            cwd=clone.path,
            env=variables,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        ran = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
        assert ran == ["Running stage 'params':"]
        assert done.stdout.count("didn't change, skipping") == 4
        subprocess.run(
            [python(demo), "-m", "compileall", "-q", "src", "kit"], cwd=clone.path, env=variables
        )
    assert list((clone.path / "src").rglob("*.pyc"))
    assert {name: (clone.path / name).read_bytes() for name in before} == before
