"""Does what a project's docs/your-own-data.md says: its blocks over params.yaml, its pipeline."""

import json
import re
import subprocess

import pytest
import yaml
from conftest import Workshop, python

pytestmark = pytest.mark.slow


def section_of(demo, title):
    """Return the section of that title of a demo's docs/your-own-data.md."""
    sections = re.split(r"^## ", demo.read("docs/your-own-data.md"), flags=re.MULTILINE)
    (section,) = (one for one in sections if one.startswith(title))
    return section


def blocks(language, section):
    """Return the blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def assert_tells_of_its_data(workshop, params):
    """The README's Data section and the example request are of these data."""
    section = workshop.read("README.md").partition("<!-- data:start -->")[2]
    section = section.partition("<!-- data:end -->")[0]
    assert f"- **Source**: `{params['data']['source']}` (sha256 `" in section
    assert not re.search("ATT&CK|actor|hires|Washington", section)
    body = json.loads(workshop.read("scripts/example_request.json"))["body"]
    manifest = json.loads(workshop.read("models/manifest.json"))
    if manifest["project_type"] == "forecasting":
        assert body.get("unique_id", "y") in manifest["widths_by_series"]
        assert body["h"] <= manifest["shape"]["horizon"]
    else:
        assert {*body.get("texts", [body.get("query")])} <= {*manifest["examples"]}
    assert json.dumps(body, ensure_ascii=False)[:20] in workshop.read("README.md")


@pytest.fixture(scope="module")
def follow(tmp_path_factory):
    """Return a function that works through an example of a demo: the section of that title."""

    def follow(demo, title):
        workshop = Workshop(tmp_path_factory.mktemp("example"), demo, {})
        section = section_of(demo, title)
        for code in blocks("python", section):
            subprocess.run([python(demo), "-c", code], cwd=workshop.path, check=True)
        params = yaml.safe_load(workshop.read("params.yaml"))
        for block in blocks("yaml", section):
            for key, value in yaml.safe_load(block).items():
                params[key] = {**params[key], **value} if isinstance(value, dict) else value
        (workshop.path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        workshop.finish("pipeline")
        assert_tells_of_its_data(workshop, params)
        return workshop, json.loads(workshop.read("reports/metrics.json"))

    return follow


@pytest.mark.nightly
def test_diagnoses_of_categories_that_training_has_never_seen_are_told_apart(demo, follow):
    workshop, metrics = follow(demo[1], "Which chapter of ICD-10")
    assert len(metrics["per_class"]) == 21
    assert metrics["data"]["rows"]["test"] > 2000
    assert metrics["versus_best_baseline"]["interval_95"][0] > 0
    (answer,) = json.loads(workshop.finish("predict", "A baby born six weeks early."))
    assert answer["label"] == "Certain conditions originating in the perinatal period"


@pytest.mark.nightly  # the classical methods take many minutes
def test_electricity_demand_is_forecast_as_well_as_the_best_classical_method(
    forecasting_demo, follow
):
    _, metrics = follow(forecasting_demo[1], "Half-hourly electricity demand")
    assert metrics["windows"]["n_windows"] == 1297
    assert 2.1 < metrics["baselines"]["seasonal naive, 336 steps"]["mape"] < 2.2  # 2.16 is known
    assert metrics["model"]["mape"] <= 1.05


def test_one_model_forecasts_fifty_shops_better_than_what_knows_no_prices(forecasting_demo, follow):
    workshop, metrics = follow(forecasting_demo[1], "Fifty shops")
    assert json.loads(workshop.read("data/processed/manifest.json"))["series"] == 50
    for name in ("seasonal naive, 7 steps", "MSTL"):
        assert metrics["versus"][name]["interval_95"][0] > 0
    (answer, other) = json.loads(workshop.finish("predict", "Shop 7", "Shop 50"))
    assert len(answer) == len(other) == 14


@pytest.mark.nightly
def test_an_encoder_learns_to_find_functions_of_modules_that_it_was_never_asked_about(
    search_demo, follow
):
    workshop, metrics = follow(search_demo[1], "Find the function that does this")
    assert metrics["data"]["rows"]["test"] > 200
    for name in ("BM25", "pretrained encoder"):
        assert metrics["versus"][name]["interval_95"][0] > 0
    (answer,) = json.loads(workshop.finish("predict", "Wrap text to a width, as one string."))
    assert "def wrap(" in "".join(result["text"] for result in answer["results"][:3])


def test_documents_without_queries_can_be_searched_and_nothing_is_claimed(search_demo, follow):
    workshop, metrics = follow(search_demo[1], "Long documents and no queries at all")
    assert metrics["model"] == {}
    assert "no held-out queries" in workshop.read("README.md")
    (answer,) = json.loads(workshop.finish("predict", "how do I repeat something in a loop"))
    assert {"for", "while"} & {result["id"] for result in answer["results"][:3]}


CHANGES = """
import numpy as np
from pathlib import Path
from portfolio_kit.retrieval.documents import Document
from portfolio_kit.retrieval.journal import Change, Journal
vectors = np.ones((1, 384))
new = Document("new", "", "Zoë\u2028said so", {"by": ["me"]})
replaced = Document("2", "Title", "other words")
changes = [Change(one.id, one, "model", vectors) for one in (new, replaced)]
Journal(Path("changes/documents.sqlite")).write([*changes, Change("1")])
"""


def test_what_the_api_has_changed_goes_into_the_corpus(search_demo, tmp_path):
    demo = search_demo[1]
    corpus = tmp_path / "functions" / "corpus.jsonl"
    corpus.parent.mkdir()
    before = [{"_id": 1, "text": "goes"}, {"_id": "2", "text": "old"}, {"_id": "3", "text": "é"}]
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in before]
    corpus.write_text("".join(lines), encoding="utf-8")
    (code,) = blocks("python", section_of(demo, "What came in through the API"))
    for program in (CHANGES, code):
        subprocess.run([python(demo), "-c", program], cwd=tmp_path, check=True)
    after = [json.loads(line) for line in corpus.read_text(encoding="utf-8").split("\n")[:-1]]
    assert after == [
        before[2],
        {"_id": "new", "title": "", "text": "Zoë\u2028said so", "metadata": {"by": ["me"]}},
        {"_id": "2", "title": "Title", "text": "other words", "metadata": {}},
    ]


def test_a_table_becomes_a_corpus(search_demo, tmp_path):
    demo = search_demo[1]
    table = 'number,question,answer\n7,How long?,"Thirty days, no more"\n8,,Zoë\n'
    (tmp_path / "questions.csv").write_text(table, encoding="utf-8")
    (code,) = blocks("python", section_of(demo, "Documents in a table"))
    subprocess.run([python(demo), "-c", code], cwd=tmp_path, check=True)
    corpus = (tmp_path / "questions" / "corpus.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in corpus.splitlines()] == [
        {"_id": 7, "title": "How long?", "text": "Thirty days, no more"},
        {"_id": 8, "title": None, "text": "Zoë"},
    ]
