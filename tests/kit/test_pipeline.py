"""The pipeline: what `dvc.yaml` compares, and how its stages run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
def pipeline(workspace):
    """Run `pipeline` in a process, with one stage; the folder is in no git repository."""
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    outs = [{"out.txt": {"cache": False}}]
    made = {"cmd": "python stage.py", "deps": ["in.txt"], "outs": outs}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"made": made}}), encoding="utf-8")
    Path("in.txt").write_text("one", encoding="utf-8")
    Path("stage.py").write_text(
        "import os, pathlib, sys\n"
        "overrides = [os.environ.get(f'TINY_{name}', '') for name in ('SEED', 'SERVE__THREADS')]\n"
        "pathlib.Path('out.txt').write_text('\\n'.join([sys.executable, *overrides]), 'utf-8')\n",
        encoding="utf-8",
    )

    def pipeline(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tiny", "pipeline", *arguments],
            env={
                **os.environ,
                "DVC_SITE_CACHE_DIR": str(workspace / "site"),
                "DVC_NO_ANALYTICS": "1",
            },
            capture_output=True,
            encoding="utf-8",
        )

    return pipeline


def test_stages_run_with_this_interpreter_and_these_overrides_once(pipeline):
    done = pipeline("--set", "seed=2", "--set", "serve.threads=3")
    assert done.returncode == 0, done.stderr
    interpreter, *overrides = Path("out.txt").read_text(encoding="utf-8").splitlines()
    assert os.path.samefile(interpreter, sys.executable)
    assert overrides == ["2", "3"]
    assert "dvc push" not in done.stdout + done.stderr, "there is no remote storage"
    Path("stage.py").write_text("raise SystemExit(1)", encoding="utf-8")
    again = pipeline()
    assert again.returncode == 0, again.stderr
    assert "Everything is up to date." in again.stdout


def test_outputs_that_were_copied_into_a_clone_are_not_made_again(pipeline, workspace):
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    stages["stages"]["made"]["outs"] = [{"out.txt": {"persist": True}}]
    Path("dvc.yaml").write_text(yaml.safe_dump(stages), encoding="utf-8")
    assert pipeline().returncode == 0
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(".dvc/tmp")
    made = Path("out.txt").stat().st_mtime_ns
    assert "Everything is up to date." in pipeline().stdout
    assert Path("out.txt").stat().st_mtime_ns == made
    for change in (lambda: Path("out.txt").unlink(), lambda: Path("out.txt").write_text("other")):
        shutil.rmtree(".dvc/cache")
        change()
        assert "Running stage 'made'" in pipeline().stdout


def test_a_push_is_suggested_if_there_is_a_remote_storage(pipeline):
    with Path(".dvc/config").open("a", encoding="utf-8") as file:
        file.write("['remote \"store\"']\n    url = store\n")
    assert "dvc push" in pipeline().stdout


@pytest.mark.parametrize("repository", ["of the project", "around it", "around it, ignoring it"])
def test_stages_run_in_a_git_repository(pipeline, workspace, repository):
    root = workspace if repository == "of the project" else workspace.parent
    subprocess.run(["git", "init", "--quiet", root], check=True)
    if repository == "around it, ignoring it":
        (root / ".gitignore").write_text("*\n", encoding="utf-8")
    done = pipeline()
    assert done.returncode == 0, done.stderr
    assert Path("out.txt").exists()


def test_a_stage_that_fails_ends_the_pipeline_with_one_plain_line(pipeline):
    Path("stage.py").write_text("raise SystemExit(3)", encoding="utf-8")
    done = pipeline()
    assert done.returncode == 1
    *_, reason, last = done.stderr.splitlines()
    assert "made" in reason
    assert last.startswith("error: the pipeline stopped")


def test_a_damaged_dvc_yaml_is_named(pipeline):
    Path("dvc.yaml").write_text("stages: [", encoding="utf-8")
    done = pipeline()
    assert done.returncode == 1
    assert "dvc.yaml" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
