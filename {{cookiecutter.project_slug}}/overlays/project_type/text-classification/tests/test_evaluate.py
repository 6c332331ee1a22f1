"""The evaluation: the exported model and its baselines on the test set, and on nothing else."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from portfolio_kit import artifacts

from {{cookiecutter.package_name}}.evaluation import figures
from {{cookiecutter.package_name}}.evaluation.metrics import REPORTING, Metrics


@pytest.fixture(scope="module")
def metrics(evaluated):
    """What the evaluation wrote."""
    return json.loads((evaluated / artifacts.METRICS).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def held_out(evaluated):
    """The test set."""
    return pd.read_parquet(evaluated / "data/processed/test.parquet")


def test_scores_are_those_of_scikit_learn_on_the_test_set(metrics, held_out, predictor):
    answers = [answer["label"] for answer in predictor.predict(held_out["text"].tolist())]
    labels, known = held_out["label"], predictor.manifest.labels
    expected = [accuracy_score(labels, answers), f1_score(labels, answers, average="macro")]
    assert [metrics["model"][name] for name in ("accuracy", "macro_f1")] == pytest.approx(expected)
    recalls = recall_score(labels, answers, average=None, labels=known)
    assert [row["recall"] for row in metrics["per_class"].values()] == pytest.approx(list(recalls))
    assert list(metrics["per_class"]) == known
    assert [row["rows"] for row in metrics["per_class"].values()] == [
        (labels == label).sum() for label in known
    ]


def test_the_model_has_learnt_something(metrics):
    assert metrics["model"]["macro_f1"] > 0.7
    assert metrics["baselines"]["majority class"]["macro_f1"] < 0.2


def test_the_majority_class_is_right_as_often_as_it_occurs(metrics, held_out, evaluated):
    train = pd.read_parquet(evaluated / "data/processed/train.parquet")
    usual = train["label"].value_counts().idxmax()
    share = (held_out["label"] == usual).mean()
    assert metrics["baselines"]["majority class"]["accuracy"] == pytest.approx(share)


def test_the_metrics_name_model_data_and_cost(metrics, predictor, held_out):
    model = predictor.manifest
    assert metrics["project_type"] == "text-classification"
    assert metrics["model_version"] == predictor.version
    assert metrics["data"]["sha256"] == model.data_sha256
    assert metrics["data"]["rows"]["test"] == len(held_out)
    assert metrics["train_seconds"] == model.train_seconds
    assert metrics["peak_memory_mb"] == model.peak_memory_mb


def test_each_model_has_the_same_scores(metrics):
    assert len(metrics["baselines"]) == 3
    for scores in (metrics["model"], *metrics["baselines"].values()):
        assert list(scores) == ["accuracy", "macro_f1", "ece"]
        assert all(0 <= value <= 1 for value in scores.values())


def test_the_comparison_is_with_the_best_baseline(metrics):
    versus = metrics["versus_best_baseline"]
    scores = {name: row["macro_f1"] for name, row in metrics["baselines"].items()}
    assert scores[versus["baseline"]] == max(scores.values())
    expected = metrics["model"]["macro_f1"] - max(scores.values())
    assert versus["metric"] == "macro_f1"
    assert versus["difference"] == pytest.approx(expected)
    low, high = versus["interval_95"]
    assert low <= versus["difference"] <= high
    for name, (low, high) in metrics["intervals_95"].items():
        assert low <= metrics["model"][name] <= high


def test_the_threshold_is_that_of_the_artifact(metrics, held_out, predictor):
    chosen = metrics["selective_prediction"]
    answers = predictor.predict(held_out["text"].tolist())
    accepted = [not answer["needs_review"] for answer in answers]
    is_right = [a["label"] == label for a, label in zip(answers, held_out["label"], strict=True)]
    assert chosen["threshold"] == predictor.manifest.threshold
    assert chosen["target_precision"] == 0.9
    assert chosen["coverage"] == pytest.approx(np.mean(accepted))
    assert chosen["precision"] == pytest.approx(np.mean(np.array(is_right)[accepted]))


def test_choices_of_the_precision_are_made_on_valid_and_measured_on_test(
    metrics, evaluated, predictor
):
    valid, test = (
        pd.read_parquet(evaluated / f"data/processed/{name}.parquet") for name in ("valid", "test")
    )
    for rows in (valid, test):
        answers = pd.DataFrame(predictor.predict(rows["text"].tolist()))
        rows["confidence"] = answers["confidence"]
        rows["is_right"] = answers["label"] == rows["label"]
    assert [one["target_precision"] for one in metrics["review_options"]] == [0.95, 0.98, 0.99]
    for one in metrics["review_options"]:
        limits = [2, *valid["confidence"]]  # above 2 there is nothing
        parts = [valid["is_right"][valid["confidence"] >= limit] for limit in limits]
        wanted = one["target_precision"]
        most = max(len(part) for part in parts if not len(part) or part.mean() >= wanted)
        assert one["valid_coverage"] == pytest.approx(most / len(valid))
        accepted = test["is_right"][test["confidence"] >= one["threshold"]]
        assert one["coverage"] == pytest.approx(len(accepted) / len(test))
        assert one["precision"] == (pytest.approx(accepted.mean()) if len(accepted) else None)


def test_calibration_is_reported_before_and_after(metrics, predictor):
    calibration = metrics["calibration"]
    assert calibration["temperature"] == predictor.manifest.temperature
    assert calibration["ece_after"] == pytest.approx(metrics["model"]["ece"])
    assert 0 <= calibration["ece_before"] <= 1
    assert calibration["ece_before"] != pytest.approx(calibration["ece_after"])


def test_each_figure_of_the_readme_is_a_picture(evaluated):
    for name in REPORTING.captions:
        picture = matplotlib.image.imread(evaluated / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_class_names_with_markup_are_drawn_as_they_are(example_metrics):
    names = ["US$ or A$", "$\\frac$ {x}^_", "a|b & <c>"]
    row = example_metrics.per_class["garden"]
    metrics = example_metrics.model_copy(update={"per_class": dict.fromkeys(names, row)})
    rows = pd.DataFrame({"label": names, "answer": names, "is_right": True})
    rows = rows.assign(confidence=[0.9, 0.8, 1.0], uncalibrated=[0.8, 0.7, 1.0])
    figures.draw(metrics, rows, rows)
    assert {path.name for path in Path("reports/figures").iterdir()} == set(REPORTING.captions)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes", [2, 3, 14, 30, 31, 77, 150])
def test_figures_keep_the_width_of_a_readme(classes, example_metrics):
    names = [f"配送 {n} of an unusually long, unshortened name {n}" for n in range(classes)]
    row = example_metrics.per_class["garden"]
    metrics = example_metrics.model_copy(update={"per_class": dict.fromkeys(names, row)})
    rows = pd.DataFrame({"label": names * 3, "answer": names * 2 + names[::-1]})
    rows["is_right"] = rows["label"] == rows["answer"]
    rows = rows.assign(confidence=0.9, uncalibrated=0.8)
    figures.draw(metrics, rows, rows)
    for name in REPORTING.captions:
        _, width, *_ = matplotlib.image.imread(Path("reports/figures") / name).shape
        assert width < 1400  # at 160 dots per inch, letters of 7 points are 9 pixels high on 830


def test_the_error_analysis_is_written(evaluated, metrics, predictor):
    text = (evaluated / "reports/errors.md").read_text(encoding="utf-8")
    assert predictor.version in text
    for name in metrics["slices"]:
        assert f"| {name} |" in text


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest.tracking_run).data
    assert recorded.metrics["test_macro_f1"] == pytest.approx(metrics["model"]["macro_f1"])
    assert recorded.metrics["onnx_max_difference"] < 1e-3
    assert recorded.params["data_sha256"] == metrics["data"]["sha256"]
    assert recorded.params["train.epochs"] == "2"


def test_the_report_follows(evaluated, metrics, predictor, run, monkeypatch):
    shutil.copytree(evaluated, "copy")
    monkeypatch.chdir("copy")
    marks = [f"<!-- {name}:start --><!-- {name}:end -->\n" for name in ("headline", "results")]
    Path("README.md").write_text("".join(marks), encoding="utf-8")
    outcome = run("report")
    assert outcome.code == 0, outcome.err
    readme = Path("README.md").read_text(encoding="utf-8")
    assert f"{metrics['model']['macro_f1']:.3f}" in readme
    for name in REPORTING.captions:
        assert f"(reports/figures/{name})" in readme
    card = Path("reports/model_card.md").read_text(encoding="utf-8")
    for team, row in metrics["per_class"].items():
        scores = (f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        assert f"| {team} | {' | '.join(scores)} | {row['rows']} |" in card
    for precision, file in predictor.manifest.model_files.items():
        assert f"| {precision} | {file.megabytes} | {file.milliseconds_per_text} |" in card
    assert f"{predictor.manifest.temperature:.3f}" in card


def test_a_model_that_abstains_from_everything_is_described(example_metrics):
    chosen = example_metrics.selective_prediction
    nothing = {"coverage": 0.0, "precision": None, "precision_interval_95": None}
    none = chosen.model_copy(update=nothing)
    metrics = example_metrics.model_copy(update={"selective_prediction": none})
    assert "answers 0.0% of the texts" in REPORTING.highlights(metrics)
    assert "none of those answers are right" in REPORTING.highlights(metrics)


def test_the_readme_shows_choices_of_the_precision(example_metrics):
    said = REPORTING.highlights(example_metrics)
    assert "| 95.0% | 94.1% | 92.9% | 94.0% |" in said
    assert "| 99.0% | 94.1% | 0.0% | none |" in said


@pytest.mark.parametrize(("classes", "shown"), [(30, 30), (31, 10), (150, 10)])
def test_the_model_card_lists_the_worst_of_many_classes(classes, shown, example_metrics, predictor):
    row = example_metrics.per_class["garden"]
    scores = {f"class {n}": row.model_copy(update={"f1": n / 1000}) for n in range(classes, 0, -1)}
    metrics = example_metrics.model_copy(update={"per_class": scores})
    section = REPORTING.model_card(metrics, predictor.manifest)[0]
    names = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines()]
    found = [name for name in names if name.startswith("class ")]
    worst = [f"class {n}" for n in range(1, 11)]
    assert found == (list(scores) if shown == classes else worst)
    assert ("(metrics.json)" in section) is (shown < classes)


def test_metrics_survive_being_written_and_read(example_metrics):
    assert Metrics.model_validate_json(example_metrics.model_dump_json()) == example_metrics


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, rejection):
    shutil.copytree(trained.folder / "models", "models")
    configure({"seed": 99})
    assert run("data").code == 0
    [line] = rejection("evaluate")
    assert "run `make train`" in line
    assert not artifacts.METRICS.exists()


def test_an_altered_model_is_not_evaluated(trained, configure, rejection):
    for name in ("models", "data"):
        shutil.copytree(trained.folder / name, name)
    configure()
    with Path("models/model.onnx").open("ab") as file:
        file.write(b"x")
    [line] = rejection("evaluate")
    assert "model.onnx" in line
