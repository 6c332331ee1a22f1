"""What `dvc.yaml` compares: the parameters in force, and local files by their content."""

import re
from pathlib import Path

import pytest
import yaml

from {{cookiecutter.package_name}}.__main__ import VERBS
from {{cookiecutter.package_name}}.params import Params

RECORD = Path(".params.yaml")


@pytest.fixture
def recorded(run):
    """Return what a record says."""

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
def test_what_can_be_no_data_is_not_read(source, recorded, write_params):
    write_params({"data.source": source})
    assert recorded()["data"]["local_files"] == {}


def test_the_record_is_one_that_dvc_can_read_in_any_script(recorded, write_params):
    write_params({"data.source": "données/заметки.csv", "data.sha256": None})
    assert recorded()["data"]["source"] == "données/заметки.csv"


def stages(project):
    return yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_each_stage_runs_a_verb_that_exists(project):
    for name, stage in stages(project).items():
        assert re.fullmatch(rf"python -m \w+ {name}", stage["cmd"])
        assert name in VERBS


def test_each_stage_watches_parameters_and_files_that_exist(project):
    made = {
        out if isinstance(out, str) else next(iter(out))
        for stage in stages(project).values()
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]
    }
    for stage in stages(project).values():
        for record in stage.get("params", []):
            sections = {key.partition(".")[0] for key in record[RECORD.name]}
            assert sections <= set(Params.model_fields)
        for path in stage.get("deps", []):
            assert path in made or (project / path).exists(), path
