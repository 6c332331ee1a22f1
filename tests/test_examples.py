"""Does what a project's docs/your-own-data.md says: its blocks over params.yaml, its pipeline."""

import json
import re
import subprocess

import pytest
import yaml
from conftest import Workshop, python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def follow(tmp_path_factory):
    """Return a function that works through an example of a demo: the section of that title."""

    def follow(demo, title):
        workshop = Workshop(tmp_path_factory.mktemp("example"), demo, {})
        sections = re.split(r"^## ", demo.read("docs/your-own-data.md"), flags=re.MULTILINE)
        (section,) = (one for one in sections if one.startswith(title))
        for code in re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
            subprocess.run([python(demo), "-c", code], cwd=workshop.path, check=True)
        params = yaml.safe_load(workshop.read("params.yaml"))
        for block in re.findall(r"^```yaml\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
            for key, value in yaml.safe_load(block).items():
                params[key] = {**params[key], **value} if isinstance(value, dict) else value
        (workshop.path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        workshop.finish("pipeline")
        return workshop, json.loads(workshop.read("reports/metrics.json"))

    return follow


def test_diagnoses_of_categories_that_training_has_never_seen_are_told_apart(demo, follow):
    workshop, metrics = follow(demo[1], "Which chapter of ICD-10")
    assert len(metrics["per_class"]) == 21
    assert metrics["data"]["rows"]["test"] > 2000
    assert metrics["versus_best_baseline"]["interval_95"][0] > 0
    (answer,) = json.loads(workshop.finish("predict", "A baby born six weeks early."))
    assert answer["label"] == "Certain conditions originating in the perinatal period"


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


def test_an_encoder_learns_to_find_functions_of_modules_that_it_was_never_asked_about(
    search_demo, follow
):
    workshop, metrics = follow(search_demo[1], "Find the function that does this")
    assert metrics["data"]["rows"]["test"] > 200
    for name in ("BM25", "encoder as it comes"):
        assert metrics["versus"][name]["interval_95"][0] > 0
    (answer,) = json.loads(workshop.finish("predict", "Wrap text to a width, as one string."))
    assert "def wrap(" in "".join(result["text"] for result in answer["results"][:3])


def test_documents_without_queries_can_be_searched_and_nothing_is_claimed(search_demo, follow):
    workshop, metrics = follow(search_demo[1], "Long documents and no queries at all")
    assert list(metrics["model"]) == ["index_recall_at_10"]
    assert "no held-out queries" in workshop.read("README.md")
    (answer,) = json.loads(workshop.finish("predict", "how do I repeat something in a loop"))
    assert {"for", "while"} & {result["id"] for result in answer["results"][:3]}
