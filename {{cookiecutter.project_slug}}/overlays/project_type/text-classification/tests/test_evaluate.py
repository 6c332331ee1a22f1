"""The evaluation: of the exported model, beside baselines, on the test set and nothing else."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from {{cookiecutter.package_name}} import artifacts
from {{cookiecutter.package_name}}.evaluation import figures


@pytest.fixture(scope="module")
def evaluated(trained):
    """The trained project's folder after its evaluation."""
    from {{cookiecutter.package_name}}.evaluation import evaluate

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        evaluate.run(trained.params)
    return trained.folder


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
    labels = held_out["label"]
    expected = [accuracy_score(labels, answers), f1_score(labels, answers, average="macro")]
    assert [metrics["model"][name] for name in ("accuracy", "macro_f1")] == pytest.approx(expected)
    recalls = recall_score(labels, answers, average=None, labels=predictor.labels)
    assert [row["recall"] for row in metrics["per_class"].values()] == pytest.approx(list(recalls))
    assert list(metrics["per_class"]) == predictor.labels


def test_the_model_has_learnt_something(metrics):
    assert metrics["model"]["macro_f1"] > 0.7
    assert metrics["baselines"]["majority class"]["macro_f1"] < 0.2


def test_the_metrics_name_model_data_and_cost(metrics, predictor, held_out):
    assert metrics["project_type"] == "text-classification"
    assert metrics["model_version"] == predictor.version
    assert metrics["data"]["sha256"] == predictor.manifest["data_sha256"]
    assert metrics["data"]["rows"]["test"] == len(held_out)
    assert metrics["train_seconds"] == predictor.manifest["train_seconds"]
    assert metrics["peak_memory_mb"] == predictor.manifest["peak_memory_mb"]


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


def test_each_figure_of_the_readme_is_a_picture(evaluated):
    for name in figures.CAPTIONS:
        picture = matplotlib.image.imread(evaluated / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest["tracking_run"]).data
    assert recorded.metrics["test_macro_f1"] == pytest.approx(metrics["model"]["macro_f1"])
    assert recorded.metrics["onnx_max_difference"] < 1e-3
    assert recorded.params["data_sha256"] == metrics["data"]["sha256"]
    assert recorded.params["train.epochs"] == "2"


def test_the_report_follows(evaluated, metrics, run, monkeypatch):
    shutil.copytree(evaluated, "copy")
    monkeypatch.chdir("copy")
    marks = [f"<!-- {name}:start --><!-- {name}:end -->\n" for name in ("headline", "results")]
    Path("README.md").write_text("".join(marks), encoding="utf-8")
    outcome = run("report")
    assert outcome.code == 0, outcome.err
    readme = Path("README.md").read_text(encoding="utf-8")
    assert f"{metrics['model']['macro_f1']:.3f}" in readme
    for name in figures.CAPTIONS:
        assert f"(reports/figures/{name})" in readme
    card = Path("reports/model_card.md").read_text(encoding="utf-8")
    for team in metrics["per_class"]:
        assert f"| {team} |" in card


def test_class_names_with_markup_are_drawn_as_they_are(example_metrics):
    names = ["US$ or A$", "$\\frac$ {x}^_", "a|b & <c>"]
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 4.0}
    rows = dict.fromkeys(names, row)
    targets = np.array([0, 1, 2, 0])
    probabilities = np.eye(3)[targets]
    valid = (targets, probabilities)
    figures.draw({**example_metrics, "per_class": rows}, targets, probabilities, valid, names)
    assert {path.name for path in Path("reports/figures").iterdir()} >= set(figures.CAPTIONS)


def test_the_threshold_for_review_is_that_of_the_artifact(metrics, held_out, predictor):
    review = metrics["review"]
    answers = predictor.predict(held_out["text"].tolist())
    accepted = [not answer["needs_review"] for answer in answers]
    is_right = [a["label"] == label for a, label in zip(answers, held_out["label"], strict=True)]
    assert review["threshold"] == predictor.manifest["review"]["threshold"]
    assert review["target_precision"] == 0.9
    assert review["coverage"] == pytest.approx(np.mean(accepted))
    assert review["precision"] == pytest.approx(np.mean(np.array(is_right)[accepted]))


def test_calibration_is_reported_before_and_after(metrics, predictor):
    calibration = metrics["calibration"]
    assert calibration["temperature"] == predictor.manifest["temperature"]
    assert calibration["ece_after"] == metrics["model"]["ece"]
    assert 0 <= calibration["ece_before"] <= 1


def test_where_the_model_errs_is_written_down(evaluated, metrics, predictor):
    text = (evaluated / "reports/errors.md").read_text(encoding="utf-8")
    assert predictor.version in text
    for name in metrics["slices"]:
        assert f"| {name} |" in text


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, refusal):
    shutil.copytree(trained.folder / "models", "models")
    configure({"seed": 99})
    assert run("data").code == 0
    [line] = refusal("evaluate")
    assert "train" in line
    assert not artifacts.METRICS.exists()


def test_an_altered_model_is_not_evaluated(trained, configure, refusal):
    for name in ("models", "data"):
        shutil.copytree(trained.folder / name, name)
    configure()
    with Path("models/model.onnx").open("ab") as file:
        file.write(b"x")
    [line] = refusal("evaluate")
    assert "model.onnx" in line
