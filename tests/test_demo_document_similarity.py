"""Does with a search service what a new user does: `make demo`, then its commands."""

import json
import re

import pyarrow.parquet
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(search_demo):
    return search_demo[0]


@pytest.fixture(scope="module")
def project(search_demo):
    return search_demo[1]


@pytest.fixture(scope="module")
def metrics(project):
    return json.loads(project.read("reports/metrics.json"))


def test_the_demo_prints_what_was_found_and_the_metrics(output, metrics, project):
    answer = json.loads(re.search(r"^{$.*?^}$", output, re.DOTALL | re.MULTILINE)[0])
    assert answer["model_version"] == metrics["model_version"]
    asked = json.loads(project.read("scripts/example_request.json"))["body"]["query"]
    rows = pyarrow.parquet.read_table(project.path / "data/processed/train.parquet").to_pylist()
    known = {row["document_id"] for row in rows if " ".join(row["query"].split()) == asked}
    assert known & {result["id"] for result in answer["results"]}
    for name, scores in {"this model": metrics["model"], **metrics["baselines"]}.items():
        assert re.search(rf"{re.escape(name)} .*ndcg_at_10 {scores['ndcg_at_10']:.3f}", output)


def test_bm25_and_the_pretrained_encoder_are_beaten_beyond_chance(metrics):
    assert set(metrics["versus"]) == {"BM25", "pretrained encoder"}
    for name, row in metrics["versus"].items():
        ours, theirs = metrics["model"]["ndcg_at_10"], metrics["baselines"][name]["ndcg_at_10"]
        assert row["difference"] == pytest.approx(ours - theirs)
        assert row["interval_95"][0] > 0, name


def test_what_is_served_did_best_on_the_validation_queries(project, metrics):
    model = json.loads(project.read("models/manifest.json"))
    scores = model["validation_ndcg_at_10"]
    trained, before = scores["fine_tuned"], scores["pretrained"]
    assert metrics["retrieval"]["served"] == model["retrieval"] == max(trained, key=trained.get)
    assert model["is_fine_tuned"]
    assert max(trained.values()) > max(before.values())


def test_a_second_pipeline_skips_everything(project):
    before = project.read("reports/metrics.json")
    result = project.run("make", "pipeline")
    assert result.stdout.count("didn't change, skipping") == 4
    assert project.read("reports/metrics.json") == before


def test_the_project_passes_its_own_checks(project):
    result = project.run("make", "lint", check=False)
    assert result.returncode == 0, result.stdout


def test_the_project_passes_its_own_tests(project):
    result = project.run("make", "test", check=False)
    assert result.returncode == 0, result.stdout[-5000:]


def test_predict_answers_on_the_command_line(project):
    result = project.run("make", "--silent", "predict", "ARGS='logs what is typed'")
    (answer,) = json.loads(result.stdout)
    assert "T1056.001" in [one["id"] for one in answer["results"]]


def test_scored_queries_find_what_predict_finds(project, tmp_path):
    query = "logs what is typed"
    (tmp_path / "queries.csv").write_text(f"_id,text\nq1,{query}\n", encoding="utf-8")
    variables = {"SOURCE": str(tmp_path / "queries.csv"), "OUT": str(tmp_path / "scores")}
    project.run("make", "score", **variables)
    found = pyarrow.parquet.read_table(tmp_path / "scores" / "shards").to_pylist()
    (answer,) = json.loads(project.run("make", "--silent", "predict", f"ARGS='{query}'").stdout)
    assert [one["document_id"] for one in found] == [one["id"] for one in answer["results"]]
    assert {one["_id"] for one in found} == {"q1"}
