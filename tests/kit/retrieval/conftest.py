"""Fixtures of the retrieval tests, which run in the environment of a document search.

Their documents are those of the generated project's own tests.
"""

import json
from pathlib import Path

import pytest
import yaml
from retrieval.toy import Params
from tiny.project import FOLDER

import portfolio_kit
from portfolio_kit import config

OVERLAY = Path(portfolio_kit.__file__).parents[2] / "overlays/project_type/document-similarity"
DATA = OVERLAY / "tests/data"
SEARCH = {
    "retrieval": None,
    "exact": False,
    "changes": "changes/documents.sqlite",
    "max_changes": 10_000,
    "max_changes_megabytes": 50,
}


def records(name):
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def corpus():
    """Documents as they are in the file: _id, title, text."""
    return records("corpus.jsonl")


@pytest.fixture(scope="session")
def queries():
    """Queries as they are in the file: _id, text."""
    return records("queries.jsonl")


@pytest.fixture(scope="session")
def write_params():
    """Write the parameters that every project has, and those of a search, with changes."""

    def write(changes):
        values = yaml.safe_load((FOLDER / "params.yaml").read_text(encoding="utf-8"))
        for name in values.keys() - Params.model_fields.keys():
            del values[name]
        serve = {
            name: values["serve"][name]
            for name in config.Serve.model_fields.keys() & values["serve"].keys()
        }
        values["serve"] = {**serve, **SEARCH, **changes}
        Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return config.load(Params, "tiny")

    return write
