"""Texts with labels are adopted: what was read is shown, and written where it is unambiguous."""

import json
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from adopter import Adopter
from pydantic import Field

from portfolio_kit import artifacts, labels
from portfolio_kit.adopting import Adopting
from portfolio_kit.config import Section, Settings

DATA = """data:
  # Where it is.
  source: wheel://template==1/data.json
  sha256: 00aa  # of that
  text_column: text
  label_column: tactic
  label_names: {"1": one}
  group_column: actor  # the template's
  test_source: null
  test_sha256: null
  valid_fraction: 0.1"""
HEADER = ["number", "message", "team"]
TEAMS = {"billing": "I was charged twice", "login": "My password is not accepted"}
ROWS = [
    (number, f"{says}, case {number}, says {word}", team)
    for number in range(30)
    for word, (team, says) in zip(("Ann", "Bob"), TEAMS.items(), strict=True)
]


class Data(Section):
    source: str
    sha256: str | None = None
    text_column: str
    label_column: str
    label_names: labels.Names | None = None
    group_column: str | None = None
    test_source: str | None = None
    test_sha256: str | None = None
    valid_fraction: float = Field(0.1, gt=0, lt=1)


class Params(Settings):
    adopting: ClassVar[Adopting] = labels.ADOPTING
    data: Data


@pytest.fixture
def adopt(workspace, capsys):
    return Adopter(Params, DATA, capsys)


@pytest.fixture
def notes():
    """A file of sixty messages to two teams."""
    table = pd.DataFrame(ROWS, columns=HEADER)
    table.to_csv("notes.csv", index=False)
    return table


def test_one_step_sets_all_that_describes_a_data_set(adopt, notes):
    before = Path("params.yaml").read_text(encoding="utf-8")
    done = adopt("notes.csv", "--title", "Desk", "--statement", "A service that routes messages.")
    assert (done.code, done.errors) == (0, [])
    params = adopt.params()
    assert params["data"] == {
        "source": "notes.csv",
        "sha256": artifacts.sha256(Path("notes.csv")),
        "text_column": "message",
        "label_column": "team",
        "label_names": None,
        "group_column": None,
        "test_source": None,
        "test_sha256": None,
        "valid_fraction": 0.1,
    }
    assert params["serve"]["title"] == "Desk"
    assert params["serve"]["examples"] is None  # the run chooses them
    after = Path("params.yaml").read_text(encoding="utf-8")
    assert after.count("# ") == before.count("# ")
    readme = Path("README.md").read_text(encoding="utf-8")
    assert readme.startswith("# Desk\n\n> A service that routes messages.\n\n## Why")
    assert 'description = "A service that routes messages."' in Path("pyproject.toml").read_text()
    for words in (
        "notes.csv: 60 rows, 3 columns",
        ROWS[0][1][:20],
        "2 classes: billing 30, login 30",
        "data.group_column: null  (was actor)",
        "README.md: Why this problem: they give the template's reasons",
        "Next: make setup (it registers the statement), then make pipeline; without make, python",
    ):
        assert words in done.out, words
    again = adopt("notes.csv", "--title", "Desk", "--statement", "A service that routes messages.")
    assert (again.code, again.wrote) == (0, False)
    assert "params.yaml: nothing to change" in again.out


def test_what_was_set_by_hand_stays_until_the_source_changes(adopt, notes):
    assert adopt("notes.csv").code == 0
    text = Path("params.yaml").read_text(encoding="utf-8")
    text = text.replace("group_column: null", "group_column: number")
    Path("params.yaml").write_text(text.replace("examples: null", "examples: [Mine.]"), "utf-8")
    assert not adopt(Path("notes.csv").absolute()).wrote
    notes.to_json("notes.jsonl", orient="records", lines=True)
    assert adopt("notes.jsonl").code == 0
    assert adopt.params()["data"]["group_column"] is None
    assert adopt.params()["serve"]["examples"] is None


def test_a_file_that_has_changed_is_pinned_again(adopt, notes):
    adopt("notes.csv")
    notes.head(50).to_csv("notes.csv", index=False)
    assert adopt("notes.csv").wrote
    assert adopt.params()["data"]["sha256"] == artifacts.sha256(Path("notes.csv"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "folder"])
def test_every_form_of_a_file_is_read(adopt, notes, form):
    name = {"folder": "parts"}.get(form, f"notes.{form}")
    if form == "jsonl":
        notes.to_json(name, orient="records", lines=True, force_ascii=False)
    elif form == "parquet":
        notes.assign(team=notes["team"].astype("category")).to_parquet(name)
    elif form == "folder":
        for team, part in notes.groupby("team"):
            Path(name, f"team={team}").mkdir(parents=True)
            part.drop(columns="team").to_parquet(Path(name, f"team={team}", "part-0.parquet"))
    assert adopt(name).code == 0
    data = adopt.params()["data"]
    assert (data["text_column"], data["label_column"]) == ("message", "team")
    assert data["sha256"] == artifacts.sha256(Path(name))


def test_a_url_is_fetched_and_its_hash_pinned(adopt, notes, server):
    server.files["/notes.csv"] = Path("notes.csv").read_bytes()
    url = f"{server.url}/notes.csv"
    assert adopt(url).code == 0
    assert adopt.params()["data"]["source"] == url
    assert adopt.params()["data"]["sha256"] == artifacts.sha256(Path("notes.csv"))
    server.close()
    assert adopt(url).code == 0  # it has been fetched
    assert "could not be fetched: cannot connect" in adopt.rejected(f"{server.url}/others/x.csv")


def test_labels_that_are_numbers_need_names(adopt, notes):
    notes.assign(team=notes["team"].eq("login").astype(int)).to_csv("notes.csv", index=False)
    line = adopt.rejected("notes.csv")
    assert line == (
        "data.label_column 'team' of notes.csv: labels are numbers or booleans; name each with "
        "--label-names 0=NAME 1=NAME"
    )
    assert adopt("notes.csv", "--label-names", "0=billing", "1=log in").code == 0
    assert adopt.params()["data"]["label_names"] == {"0": "billing", "1": "log in"}
    assert not adopt("notes.csv").wrote
    for typed in ("0", "=x", "0="):
        assert adopt.rejected("notes.csv", "--label-names", typed).startswith("--label-names: ")


def test_an_official_test_file_is_pinned_too(adopt, notes):
    notes.tail(10).to_csv("held-out.csv", index=False)
    assert adopt("notes.csv", "--test-source", "held-out.csv").code == 0
    assert adopt.params()["data"]["test_sha256"] == artifacts.sha256(Path("held-out.csv"))
    notes.drop(columns="team").to_csv("held-out.csv", index=False)
    line = adopt.rejected("notes.csv", "--test-source", "held-out.csv")
    assert line.startswith("data.label_column: held-out.csv has no column 'team'")


def test_other_keys_can_be_set_in_the_same_step(adopt, notes):
    done = adopt("notes.csv", "--set", "data.valid_fraction=0.3", "--set", "seed=7")
    assert done.code == 0
    assert (adopt.params()["data"]["valid_fraction"], adopt.params()["seed"]) == (0.3, 7)
    assert adopt.rejected("notes.csv", "--set", "seeds=7").endswith("the nearest is 'seed'")
    assert adopt.rejected("notes.csv", "--set", "seed=x").startswith("params.yaml: seed: ")


def test_a_column_is_proposed_only_if_no_other_could_be_meant(adopt, notes):
    notes["reply"] = notes["message"] + " Thanks."
    notes["office"] = ["north", "south", "east"] * 20
    notes["day"] = ["2024-05-01", "2024-05-02"] * 30
    notes["price"] = [1.5, 2.5] * 30
    notes.to_csv("notes.csv", index=False)
    done = adopt("notes.csv")
    names = "'number', 'message', 'team', 'reply', 'office', 'day', 'price'"
    assert (done.code, done.wrote) == (1, False)
    assert done.errors == [
        "error: data.text_column: notes.csv has 2 columns that could be the texts, 'message', "
        f"'reply'; name one with --text-column: {names}",
        "error: data.label_column: notes.csv has 2 columns that could be the labels, 'team', "
        f"'office'; name one with --label-column: {names}",
    ]
    assert adopt("notes.csv", "--text-column", "message", "--label-column", "team").code == 0
    [line] = adopt("notes.csv", "--text-column", "title").errors
    assert "data.text_column: notes.csv has no column 'title'; it has 'number'" in line


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a;b\n1;2\n", "columns are separated by semicolons: save it with commas"),
        ("sep=,\na,b\n1,2\n", "the header is in line 2"),
        ("a,a\n1,2\n", "has 2 columns 'a'"),
        ("", "it is empty"),
        ("a,b\n", "holds no rows"),
        ("a,b\n1\n", "line 2: 1 fields instead of 2"),
        ("a,b\n1,caf\xe9\n", "is not UTF-8 at byte"),
    ],
    ids=["semicolons", "sep", "twice", "empty", "no rows", "fields", "latin-1"],
)
def test_a_file_that_cannot_be_read_changes_nothing(adopt, content, line):
    Path("x.csv").write_bytes(content.encode("latin-1"))
    assert line in adopt.rejected("x.csv")


def test_what_is_no_source_is_named(adopt, notes):
    assert adopt.rejected("none.csv") == "data.source: there is no file none.csv"
    assert adopt.rejected("").startswith("SOURCE: name a file")
    assert adopt.rejected("README.md").startswith("data.source: README.md: use a .csv, .jsonl")
    for option in ("--title", "--statement"):
        assert (
            adopt.rejected("notes.csv", option, "two\nlines") == f"{option}: write one line of text"
        )
    Path("README.md").write_text("no title\n", encoding="utf-8")
    assert adopt.rejected("notes.csv", "--title", "x").startswith("README.md: begin it with")


def test_params_that_the_result_would_break_are_not_written(adopt, notes):
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("threads: 1", "threads: 0"), encoding="utf-8")
    assert adopt.rejected("notes.csv").startswith("params.yaml: serve.threads: ")
    assert adopt("notes.csv", "--set", "serve.threads=1").code == 0


def test_what_the_author_has_written_is_not_asked_for_again(adopt, notes):
    Path("data").mkdir()
    Path("data/README.md").write_text("# Data\n", encoding="utf-8")
    files = {"data/README.md": artifacts.sha256(Path("data/README.md"))}
    answers = {"project_name": "Long or short", "problem_statement": "A service of the template's."}
    Path(".generated.json").write_text(json.dumps({"answers": answers, "files": files}), "utf-8")
    asked = ("(--title)", "(--statement)", "data/README.md: ", "README.md: Why this problem: ")
    out = adopt("notes.csv").out
    assert [one for one in asked if one not in out] == []
    Path("data/README.md").write_text("# Messages\n", encoding="utf-8")
    Path("README.md").write_text("# Desk\n\n> Says so.\n\n## Why this problem\n", "utf-8")
    out = adopt("notes.csv").out
    assert [one for one in asked if one in out] == []


def test_a_console_that_cannot_show_a_text_gets_something_else(adopt, notes, monkeypatch):
    import io
    import sys

    notes["message"] += " → 😀"
    notes.to_csv("notes.csv", index=False)
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="cp1252"))
    from portfolio_kit.cli import main

    assert main(adopt.project, ["adopt", "notes.csv"]) == 0
    sys.stdout.flush()
    assert b"billing 30, login 30" in buffer.getvalue()
