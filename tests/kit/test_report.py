"""The README and the model card repeat `reports/metrics.json`, and nothing else."""

import re
from pathlib import Path

import pytest
from tiny import example
from tiny.project import reporting
from tiny.stages import CAPTIONS

from portfolio_kit import artifacts, fonts, report
from portfolio_kit.records import Metrics

MODEL_CARD = artifacts.REPORTS / "model_card.md"
BEFORE = "# Title\n\nWhy, with 99.9% of é.\n\n"
BETWEEN = "\n\nDo this.\n\n## Results\n\n"
AFTER = "\n\n## What to improve\n\nAll.\n"
START, END = "<!-- results:start -->", "<!-- results:end -->"
HEADLINE = "<!-- headline:start -->\nAccuracy 0.234\n<!-- headline:end -->"


def section_of(readme, name="results"):
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    assert (readme.count(start), readme.count(end)) == (1, 1)
    return readme.partition(start)[2].partition(end)[0].strip()


def reported(run, name="results"):
    """Return a section of the README after a report."""
    assert run("report").code == 0
    return section_of(Path("README.md").read_text(encoding="utf-8"), name)


@pytest.fixture
def metrics():
    """A project after its evaluation; the README's sections are out of date."""
    results = f"{START}\nAccuracy 0.123\n{END}"
    Path("README.md").write_text(f"{BEFORE}{HEADLINE}{BETWEEN}{results}{AFTER}", encoding="utf-8")
    write()
    artifacts.PROCESSED.mkdir(parents=True)
    artifacts.write_manifest(artifacts.PROCESSED, [], example.dataset())
    artifacts.MODELS.mkdir()
    (artifacts.MODELS / "model.onnx").write_bytes(b"weights")
    artifacts.write_manifest(artifacts.MODELS, ["model.onnx"], example.manifest())
    return example.metrics()


def write(**changes):
    artifacts.write_json(artifacts.METRICS, example.metrics(**changes).model_dump(mode="json"))


def write_lead(**changes):
    """Change the comparison with the best baseline."""
    write(versus_best_baseline=example.metrics().versus_best_baseline.model_copy(update=changes))


def rows_of(markdown):
    """Return the first table as {row: {column: text}}."""
    lines = re.search(r"(^\|.*\n)+", markdown, re.MULTILINE)[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {row[0].strip("*"): dict(zip(header, row[1:], strict=True)) for row in rows}


def test_every_score_in_the_readme_is_the_one_in_the_metrics(run, metrics):
    table = rows_of(reported(run))
    expected = {"this model": metrics.model, **metrics.baselines}
    written = {
        name: {metric: float(text) for metric, text in row.items() if text != "–"}
        for name, row in table.items()
    }
    assert written == {
        name: {metric.replace("_", " "): round(value, 3) for metric, value in row.items()}
        for name, row in expected.items()
    }


def test_the_readme_says_whether_the_model_beats_the_best_baseline(run, metrics):
    section = reported(run)
    versus = metrics.versus_best_baseline
    assert versus.baseline in section
    assert f"{versus.difference:+.3f}" in section
    for limit in versus.interval_95:
        assert f"{limit:+.3f}" in section
    assert "chance" not in section

    write_lead(interval_95=[-1, 1])
    assert "chance" in reported(run)


def test_the_headline_is_one_bold_sentence_with_the_measured_numbers(run, metrics):
    sentence, _, figure = reported(run, "headline").partition("\n\n")
    said = re.fullmatch(
        r"\*\*(\S+) ([\d.]+)%? on ([\d,]+) held-out \w+: ([\d.]+) better than (.+) "
        r"\(95% interval ([+-][\d.]+) to ([+-][\d.]+)\)\.\*\*",
        sentence,
    )
    versus = metrics.versus_best_baseline
    assert list(said.groups()) == [
        said[1],
        f"{metrics.model[versus.metric]:.3f}",
        f"{metrics.data.rows['test']:,}",
        f"{versus.difference:.3f}",
        versus.baseline,
        *(f"{limit:+.3f}" for limit in versus.interval_95),
    ]
    assert said[1].lower().replace("-", "_").replace("@", "_at_") == versus.metric
    assert re.fullmatch(r"!\[[^\]]+\]\(reports/figures/comparison\.png\)", figure)


@pytest.mark.parametrize(
    ("difference", "interval", "said"),
    [
        (-0.0614, [-0.0921, -0.0301], "0.061 worse than {} (95% interval -0.092 to -0.030)."),
        (
            -0.0012,
            [-0.0341, 0.0312],
            "no difference beyond chance from {} (-0.001, 95% interval -0.034 to +0.031).",
        ),
        (
            0.0012,
            [-0.0312, 0.0341],
            "no difference beyond chance from {} (+0.001, 95% interval -0.031 to +0.034).",
        ),
        (
            0.0,
            [0.0, 0.0],
            "no difference beyond chance from {} (+0.000, 95% interval +0.000 to +0.000).",
        ),
    ],
    ids=["worse", "perhaps worse", "perhaps better", "equal"],
)
def test_headline_and_results_admit_a_bad_result(run, metrics, difference, interval, said):
    write_lead(difference=difference, interval_95=interval)
    assert f": {said.format(metrics.versus_best_baseline.baseline)}**" in reported(run, "headline")
    assert f"**{'Worse' if interval[1] < 0 else 'No difference beyond chance'} in " in reported(run)


def test_a_difference_without_an_interval_is_not_judged(run, metrics):
    """However large it is: of few forecasts an interval would have no width."""
    write_lead(difference=5.631, interval_95=None)
    said = "oo few origins to say if there is a difference"
    for name in ("headline", "results"):
        section = reported(run, name)
        assert said in section
        assert "no 95% interval" in section
        assert not re.search("[Bb]etter than|[Bb]etter in", section)
    assert said in MODEL_CARD.read_text(encoding="utf-8")


def test_each_figure_is_shown_once(run, metrics):
    assert run("report").code == 0
    readme = Path("README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(reports/figures/([^)]+)\)", readme)
    assert sorted(shown) == sorted(CAPTIONS)
    assert shown[0] == "comparison.png"


def test_the_readme_says_what_marks_in_figures_replace(run, metrics, monkeypatch):
    assert "Marks in the figures" not in reported(run)
    monkeypatch.setattr(fonts, "MARKS", {"[1]": "配送"})
    report.write_metrics(metrics)
    assert (
        "Marks in the figures, for letters that no font had at the time: \\[1\\] 配送."
        in reported(run)
    )


def test_the_author_s_text_stays(run, metrics):
    run("report")
    text = Path("README.md").read_text(encoding="utf-8")
    assert text.startswith(f"{BEFORE}<!-- headline:start -->")
    assert f"<!-- headline:end -->{BETWEEN}{START}" in text
    assert text.endswith(END + AFTER)
    assert "0.123" not in text
    assert "0.234" not in text


def test_a_second_report_changes_nothing(run, metrics):
    run("report")
    first = {path: path.read_bytes() for path in (Path("README.md"), MODEL_CARD)}
    run("report")
    assert {path: path.read_bytes() for path in first} == first


def test_an_official_test_file_is_named_where_a_split_would_be(run, metrics):
    official = {"test_source": "official.csv", "test_sha256": "e" * 64}
    data = example.dataset().model_copy(update=official)
    artifacts.write_manifest(artifacts.PROCESSED, [], data)
    scores = metrics.model_dump(include={"model", "baselines", "intervals_95"})
    measured = Metrics.of(example.manifest(), data, **scores, versus_best_baseline=None)
    write(data=measured.data)
    test, train = (f"{data.rows[name]:,}" for name in ("test", "train"))
    file = f"the {test} texts of the official test file `official.csv` (sha256 `{'e' * 64}`)"
    assert reported(run).startswith(f"On {file} (trained on {train}):")
    _, _, card = MODEL_CARD.read_text(encoding="utf-8").partition("## Training data")
    assert f"\n- **Test set**: {file}, used as it is.\n" in card
    rows = re.search(r"^- \*\*Rows\*\*: (.+)\.$", card, re.MULTILINE)[1]
    valid = data.rows["valid"]
    assert rows == f"{train} texts for training, {valid:,} texts for validation"


def test_the_model_card_names_data_split_scores_and_files(run, metrics):
    run("report")
    card = MODEL_CARD.read_text(encoding="utf-8")
    for fact in (
        metrics.model_version,
        "`texts.csv`",
        "## Labels\n\nshort, long",
        "d" * 64,
        "seed 13",
        "1,234 too odd",
        artifacts.sha256(artifacts.MODELS / "model.onnx"),
    ):
        assert fact in card
    assert (
        rows_of(card)["this model"] == rows_of(report.results(metrics, reporting()))["this model"]
    )


@pytest.mark.parametrize(
    "readme",
    [
        f"{HEADLINE}\n",
        f"{HEADLINE}\n{START}\n",
        f"{HEADLINE}\n{END}\n",
        f"{HEADLINE}\n{START}\n{END}\n{START}\n{END}\n",
        f"{HEADLINE}\n{END}\n{START}\n",
        f"{START}\n{END}\n",
        f"{START}\n{END}\n{HEADLINE}\n{HEADLINE}\n",
    ],
    ids=["none", "no end", "no start", "twice", "reversed", "no headline", "two headlines"],
)
def test_a_readme_without_its_markers_is_rejected_and_kept(readme, rejection, metrics):
    Path("README.md").write_text(readme, encoding="utf-8")
    [line] = rejection("report")
    lacking = "results" if readme.count(HEADLINE) == 1 else "headline"
    assert line.startswith(f"error: README.md: put <!-- {lacking}:start --> ")
    assert Path("README.md").read_text(encoding="utf-8") == readme


def test_without_metrics_there_is_no_report(metrics, rejection):
    artifacts.METRICS.unlink()
    [line] = rejection("report")
    assert line == f"error: {artifacts.METRICS}: not written yet; run `make evaluate`"


def test_scores_of_another_model_are_not_reported(metrics, rejection):
    readme = Path("README.md").read_text(encoding="utf-8")
    write(model_version="fedcba987654")
    [line] = rejection("report")
    assert "fedcba987654" in line
    assert "run `make evaluate` again" in line
    assert Path("README.md").read_text(encoding="utf-8") == readme


def test_a_model_without_a_comparison_says_why(run, metrics):
    write(versus_best_baseline=None, not_measured="There were no queries", not_drawn=["errors.png"])
    assert run("report").code == 0
    readme = Path("README.md").read_text(encoding="utf-8")
    assert "**There were no queries.**" in section_of(readme, "headline")
    assert "**There were no queries.**" in section_of(readme)
    assert "errors.png" not in readme
