"""Does with a forecaster what a new user does: `make demo TYPE=forecasting`, then its commands."""

import csv
import json
import re

import pyarrow.parquet
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(forecasting_demo):
    return forecasting_demo[0]


@pytest.fixture(scope="module")
def project(forecasting_demo):
    return forecasting_demo[1]


@pytest.fixture(scope="module")
def metrics(project):
    return json.loads(project.read("reports/metrics.json"))


def test_the_demo_prints_a_forecast_and_the_metrics_beside_the_baselines(output, metrics):
    answer = json.loads(re.search(r"^{$.*?^}$", output, re.DOTALL | re.MULTILINE)[0])
    assert answer["model_version"] == metrics["model_version"]
    for step in answer["forecast"]:
        assert 0 <= step["lo_80"] <= step["y_hat"] <= step["hi_80"]
    for name, scores in {"this model": metrics["model"], **metrics["baselines"]}.items():
        assert re.search(rf"{re.escape(name)} .*wape {scores['wape']:.3f}", output)


def test_the_error_is_a_quarter_below_that_of_the_best_seasonal_naive(metrics):
    naive = [row["wape"] for name, row in metrics["baselines"].items() if "naive" in name]
    assert metrics["model"]["wape"] <= 0.75 * min(naive)


def test_every_baseline_is_beaten_beyond_chance(metrics):
    assert len(metrics["versus"]) == 4
    for name, row in metrics["versus"].items():
        assert row["interval_95"][0] > 0, name


@pytest.mark.parametrize("level", [80, 95])
def test_the_intervals_cover_what_they_promise(level, metrics):
    assert abs(100 * metrics["model"][f"coverage_{level}"] - level) <= 3


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
    result = project.run("make", "--silent", "predict", "ARGS=y")
    assert len(json.loads(result.stdout)[0]) == 48


def test_a_scored_series_has_the_forecast_of_predict(project, tmp_path):
    with (project.path / "models" / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = [{**row, "ts": row["ds"], "count": row["y"]} for row in csv.DictReader(file)]
    with (tmp_path / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    variables = {"SOURCE": str(tmp_path / "history.csv"), "OUT": str(tmp_path / "scores")}
    project.run("make", "score", **variables)
    found = pyarrow.parquet.read_table(tmp_path / "scores" / "shards").to_pylist()
    predicted = json.loads(project.run("make", "--silent", "predict", "ARGS=y").stdout)[0]
    assert [one["ds"].isoformat() for one in found] == [one["ds"] for one in predicted]
    for name in ("y_hat", "lo_80", "hi_80", "lo_95", "hi_95"):
        values = [one[name] for one in predicted]
        assert [one[name] for one in found] == pytest.approx(values, rel=1e-6)
