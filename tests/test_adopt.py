"""A generated project adopts other data in one step, of each type, and its data stage takes it."""

import csv
import hashlib
import json
import os
import runpy
import tarfile
from datetime import date, timedelta

import local_extensions
import pytest
import yaml
from conftest import DEMOS, SKELETON, python

TITLE, SAYS = "Other *data*", "A service that answers about other data."
DAYS, ROWS = 400, 40


def messages(folder):
    """Write messages to two teams as CSV; return the file's name, and what is in it by key."""
    says = {"billing": "I was charged twice for order", "login": "My password fails on device"}
    table = [
        (n, f"{text} {n}, please help", team) for n in range(ROWS) for team, text in says.items()
    ]
    with (folder / "messages.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("number", "message", "team"), *table])
    return "messages.csv", {"text_column": "message", "label_column": "team", "group_column": None}


def sales(folder):
    """Write sales of two shops by day as JSON Lines."""
    first = date(2023, 1, 1)
    records = [
        {"day": str(first + timedelta(n)), "shop": shop, "sold": n % 7 + len(shop)}
        for shop in ("north", "west end")
        for n in range(DAYS)
    ]
    text = "".join(json.dumps(one) + "\n" for one in records)
    (folder / "sales.jsonl").write_text(text, encoding="utf-8")
    return "sales.jsonl", {
        "id_column": "shop",
        "time_column": "day",
        "target_column": "sold",
        "past_columns": [],
        "freq": "D",
        "holidays": None,
    }


def answers(folder):
    """Write an archive of documents and judged queries in the BEIR layout."""
    makings = ("steel", "oak", "wool", "glass", "clay", "paper", "silk", "brass", "slate", "cork")
    places = ("hall", "attic", "shed", "yard")
    names = [f"{one} in the {place}" for one in makings for place in places]
    (folder / "answers" / "qrels").mkdir(parents=True)
    files = {
        "corpus": [
            {"_id": n, "title": name, "text": f"All we have of {name} is here."}
            for n, name in enumerate(names)
        ],
        "queries": [{"_id": n, "text": f"where is the {name}"} for n, name in enumerate(names)],
    }
    for name, records in files.items():
        text = "".join(json.dumps(one) + "\n" for one in records)
        (folder / "answers" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    judged = "".join(f"{n}\t{n}\t1\n" for n in range(len(names)))
    text = f"query-id\tcorpus-id\tscore\n{judged}"
    (folder / "answers" / "qrels" / "train.tsv").write_text(text, encoding="utf-8")
    with tarfile.open(folder / "answers.tar.gz", "w:gz") as archive:
        archive.add(folder / "answers", "answers")
    return "answers.tar.gz", {"language": "english"}


DATA = {"text-classification": messages, "forecasting": sales, "document-similarity": answers}


@pytest.mark.slow
@pytest.mark.parametrize("project_type", DEMOS)
def test_a_project_adopts_other_data_and_its_data_stage_takes_it(project_type, request, bake):
    interpreter = python(request.getfixturevalue(DEMOS[project_type])[1])
    project = bake(project_type=project_type)

    def run(*arguments, check=True):
        place = os.pathsep.join(["src", "kit"])  # in place of a separate environment
        command = [interpreter, "-m", project.package, *arguments]
        return project.run(*command, check=check, PYTHONPATH=place)

    source, expected = DATA[project_type](project.path)
    project.run("git", "add", "--all")
    generated = project.read("params.yaml")
    done = run("adopt", source, "--title", TITLE, "--statement", SAYS)
    changed = project.run("git", "diff", "--name-only").stdout.split()
    assert sorted(changed) == ["README.md", "params.yaml", "pyproject.toml"]
    params = yaml.safe_load(project.read("params.yaml"))
    pin = hashlib.sha256((project.path / source).read_bytes()).hexdigest()
    assert (params["data"]["source"], params["data"]["sha256"]) == (source, pin)
    assert {key: params["data"][key] for key in expected} == expected
    assert params["serve"]["title"] == TITLE
    assert project.read("params.yaml").count("#") == generated.count("#")
    assert project.read("README.md").startswith(f"# Other \\*data\\*\n\n> {SAYS}\n")
    for words in (
        source.partition(".")[0],
        "Remains to be written",
        "data/README.md",
        "make pipeline",
    ):
        assert words in done.stdout, words

    before = {name: project.read(name) for name in changed}
    assert "nothing to change" in run("adopt", source).stdout
    failed = run("adopt", "nowhere", check=False)
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    assert line.startswith("error: data.source: there is no file")
    assert {name: project.read(name) for name in changed} == before

    run("params")
    assert yaml.safe_load(project.read(".params.yaml"))["data"]["source"] == source
    assert "is not pinned" not in run("data").stdout
    manifest = json.loads(project.read("data/processed/manifest.json"))
    assert manifest["sha256"] == pin
    assert min(manifest["rows"].values()) > 0


@pytest.mark.skipif(os.name == "nt", reason="needs make")
def test_make_passes_the_source_and_the_options_on(project):
    given = {"SOURCE": 'it\'s "here" & there.csv', "ARGS": "--title 'A b'"}
    options = [f"{name}={value}" for name, value in given.items()]
    done = project.run("make", "adopt", "CLI=printf '<%s>'", *options)
    assert done.stdout == f"<adopt><{given['SOURCE']}><--title><A b>"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a *b* _c_ `d` [e]",
        "# x",
        "a #b",
        "1. x",
        "> y",
        "- z",
        "<b> & &amp; ~ | $ \\",
        " é ",
    ],
)
def test_titles_are_escaped_as_when_the_project_was_generated(text):
    escaped = runpy.run_path(str(SKELETON / "kit/portfolio_kit/markdown.py"))["escaped"]
    assert escaped(text) == local_extensions.markdown(text)
