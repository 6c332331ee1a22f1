"""The README and the model card say what `reports/metrics.json` says, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.evaluation import report

MODEL_CARD = artifacts.REPORTS / "model_card.md"
BEFORE, AFTER = "# Title\n\nWhy, with 99.9% of é.\n\n", "\n\n## What to improve\n\nAll.\n"


def section_of(readme):
    before, start, rest = readme.partition(report.START)
    section, end, after = rest.partition(report.END)
    assert start
    assert end
    assert report.START not in before + section + after
    assert report.END not in before + after
    return section.strip()


@pytest.fixture
def metrics(example_metrics, example_model):
    """A project after its evaluation, with made-up results; its README's section is out of date."""
    Path("README.md").write_text(
        f"{BEFORE}{report.START}\nAccuracy 0.123\n{report.END}{AFTER}", encoding="utf-8"
    )
    artifacts.write_json(artifacts.METRICS, example_metrics)
    data = {"source": "notes.csv", "sha256": "d" * 64, "seed": 13, "dropped": {"repeated": 1234}}
    artifacts.write_json(
        artifacts.PROCESSED / artifacts.MANIFEST,
        {**data, "rows": example_metrics["data"]["rows"], "files": {}},
    )
    artifacts.MODELS.mkdir()
    (artifacts.MODELS / "model.onnx").write_bytes(b"weights")
    facts = {"version": example_metrics["model_version"], **example_model}
    artifacts.write_manifest(artifacts.MODELS, ["model.onnx"], facts)
    return example_metrics


def rows_of(markdown):
    """Return the first table as {row: {column: text}}."""
    lines = re.search(r"(^\|.*\n)+", markdown, re.MULTILINE)[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {row[0].strip("*"): dict(zip(header, row[1:], strict=True)) for row in rows}


def test_this_projects_readme_agrees_with_its_metrics(project):
    section = section_of((project / "README.md").read_text(encoding="utf-8"))
    path = project / artifacts.METRICS
    if path.exists():
        metrics = json.loads(path.read_text(encoding="utf-8"))
        assert section == report.results_section(metrics), "run `make report`"
    else:
        assert not re.search(r"\d\.\d", section), "these figures come from no run"


def test_every_score_in_the_readme_is_the_one_in_the_metrics(run, metrics):
    assert run("report").code == 0
    table = rows_of(section_of(Path("README.md").read_text(encoding="utf-8")))
    expected = {"this model": metrics["model"], **metrics["baselines"]}
    written = {
        name: {metric: float(text) for metric, text in row.items() if text != "–"}
        for name, row in table.items()
    }
    assert written == {
        name: {metric.replace("_", " "): round(value, 3) for metric, value in row.items()}
        for name, row in expected.items()
    }


def test_the_readme_says_whether_the_best_baseline_is_beaten(run, metrics):
    run("report")
    section = section_of(Path("README.md").read_text(encoding="utf-8"))
    versus = metrics["versus_best_baseline"]
    assert versus["baseline"] in section
    assert f"{versus['difference']:+.3f}" in section
    for limit in versus["interval_95"]:
        assert f"{limit:+.3f}" in section
    assert "chance" not in section

    artifacts.write_json(
        artifacts.METRICS, {**metrics, "versus_best_baseline": {**versus, "interval_95": [-1, 1]}}
    )
    run("report")
    assert "chance" in section_of(Path("README.md").read_text(encoding="utf-8"))


def test_what_the_author_wrote_stays(run, metrics):
    run("report")
    text = Path("README.md").read_text(encoding="utf-8")
    assert text.startswith(BEFORE + report.START)
    assert text.endswith(report.END + AFTER)
    assert "0.123" not in text


def test_a_second_report_changes_nothing(run, metrics):
    run("report")
    first = {path: path.read_bytes() for path in (Path("README.md"), MODEL_CARD)}
    run("report")
    assert {path: path.read_bytes() for path in first} == first


def test_the_model_card_names_data_split_scores_and_files(run, metrics):
    run("report")
    card = MODEL_CARD.read_text(encoding="utf-8")
    for fact in (
        metrics["model_version"],
        "`notes.csv`",
        "d" * 64,
        "seed 13",
        "1,234 repeated",
        artifacts.sha256(artifacts.MODELS / "model.onnx"),
    ):
        assert fact in card
    assert rows_of(card)["this model"] == rows_of(report.results_section(metrics))["this model"]


@pytest.mark.parametrize(
    "readme",
    [
        "# Title\n",
        f"{report.START}\n",
        f"{report.END}\n",
        f"{report.START}\n{report.END}\n{report.START}\n{report.END}\n",
        f"{report.END}\n{report.START}\n",
    ],
    ids=["none", "no end", "no start", "twice", "wrong way round"],
)
def test_a_readme_without_its_two_markers_is_refused_and_kept(readme, refusal, metrics):
    Path("README.md").write_text(readme, encoding="utf-8")
    [line] = refusal("report")
    assert line.startswith("error: README.md: ")
    assert Path("README.md").read_text(encoding="utf-8") == readme


def test_without_metrics_there_is_no_report(refusal):
    [line] = refusal("report")
    assert line.startswith("error: " + str(artifacts.METRICS))


def test_scores_of_another_model_are_not_reported(metrics, refusal):
    readme = Path("README.md").read_text(encoding="utf-8")
    artifacts.write_json(artifacts.METRICS, {**metrics, "model_version": "fedcba987654"})
    [line] = refusal("report")
    assert "fedcba987654" in line
    assert "run evaluate again" in line
    assert Path("README.md").read_text(encoding="utf-8") == readme
