"""The evaluation: of the exported model, beside baselines, on the test block and nothing else."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest

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
def by_window(evaluated, predictor):
    """What came and the quantiles of each window, made one by one from the files alone."""
    shape = predictor.shape
    blocks = [
        pd.read_parquet(evaluated / f"data/processed/{n}.parquet")
        for n in ("train", "valid", "test")
    ]
    rows = pd.concat(blocks, ignore_index=True)
    first, step_size = len(rows) - len(blocks[2]), 5
    pairs = []
    for origin in range(first, len(rows) - shape.horizon + 1, step_size):
        known = rows[:origin].copy()
        from {{cookiecutter.package_name}}.features import Series
        from {{cookiecutter.package_name}}.serving.predictor import Question

        series = Series(
            name="y",
            start=known["ds"].to_numpy("datetime64[s]")[0],
            y=known["y"].to_numpy(np.float64),
            past=known[shape.past_columns].to_numpy(np.float32),
            future=rows[: origin + shape.horizon][shape.future_columns].to_numpy(np.float32),
            observed=np.ones(len(known), bool),
        )
        [quantiles] = predictor.answer([Question(series, shape.horizon, shape.horizon)])
        pairs.append((rows["y"][origin : origin + shape.horizon].to_numpy(), quantiles))
    return tuple(map(np.array, zip(*pairs, strict=True)))


def test_scores_are_those_of_forecasts_made_one_by_one_as_the_api_makes_them(metrics, by_window):
    y, quantiles = by_window
    middle, model = quantiles[:, :, 2], metrics["model"]
    assert metrics["windows"] == {"n_windows": len(y), "step_size": 5}
    assert model["wape"] == pytest.approx(100 * np.abs(y - middle).sum() / y.sum(), rel=1e-3)
    assert model["rmse"] == pytest.approx(np.sqrt(((y - middle) ** 2).mean()), rel=1e-3)
    inside = (y >= quantiles[:, :, 1]) & (y <= quantiles[:, :, 3])
    assert model["coverage_80"] == pytest.approx(inside.mean(), abs=0.003)


def test_the_model_has_learnt_something(metrics):
    naive = [row["wape"] for name, row in metrics["baselines"].items() if "naive" in name]
    assert len(naive) == 2
    assert metrics["model"]["wape"] < 0.9 * min(naive)
    assert metrics["model"]["coverage_80"] == pytest.approx(0.8, abs=0.15)


def test_the_seasonal_naive_forecast_repeats_the_last_season(metrics, evaluated, by_window):
    season = 48
    blocks = [
        pd.read_parquet(evaluated / f"data/processed/{n}.parquet")
        for n in ("train", "valid", "test")
    ]
    y = pd.concat(blocks)["y"].to_numpy()
    first, horizon = len(y) - len(blocks[2]), by_window[0].shape[1]
    origins = range(first, len(y) - horizon + 1, 5)
    naive = np.array([y[origin - season : origin - season + horizon] for origin in origins])
    expected = 100 * np.abs(by_window[0] - naive).sum() / by_window[0].sum()
    assert metrics["baselines"]["seasonal naive, 48 steps"]["wape"] == pytest.approx(expected)


def test_the_metrics_name_model_data_and_cost(metrics, predictor):
    assert metrics["project_type"] == "forecasting"
    assert metrics["model_version"] == predictor.version
    assert metrics["data"]["sha256"] == predictor.manifest["data_sha256"]
    assert metrics["train_seconds"] == predictor.manifest["train_seconds"]


def test_the_comparison_is_with_the_best_baseline(metrics):
    versus = metrics["versus_best_baseline"]
    errors = {name: row["wape"] for name, row in metrics["baselines"].items()}
    assert errors[versus["baseline"]] == min(errors.values())
    assert versus["metric"] == "wape"
    assert list(metrics["versus"]) == list(errors)
    for name, row in metrics["versus"].items():
        assert row["difference"] == pytest.approx(errors[name] - metrics["model"]["wape"])
        low, high = row["interval_95"]
        assert low <= row["difference"] <= high
        assert 0 <= row["diebold_mariano_p"] <= 1
    for name, (low, high) in metrics["intervals_95"].items():
        assert low <= metrics["model"][name] <= high


def test_slices_add_up_to_the_whole(metrics):
    total = metrics["windows"]["n_windows"] * 12
    assert set(metrics["slices"]) >= {"lead", "hour", "weekday"}
    for rows in metrics["slices"].values():
        assert sum(row["rows"] for row in rows.values()) == total
        share = sum(row["rows"] * row["coverage_80"] for row in rows.values()) / total
        assert share == pytest.approx(metrics["model"]["coverage_80"])


def test_foreknowledge_is_reported_as_what_it_is(metrics):
    known = metrics["foreknowledge"]
    trees = metrics["baselines"]["gradient-boosted trees, same features"]
    assert known["past_only"] == pytest.approx(trees["wape"])
    assert known["perfect"] > 0
    assert "upper bound" in figures.highlights(metrics)


def test_each_figure_of_the_readme_is_a_picture(evaluated):
    for name in figures.CAPTIONS:
        picture = matplotlib.image.imread(evaluated / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest["tracking_run"]).data
    assert recorded.metrics["test_wape"] == pytest.approx(metrics["model"]["wape"])
    assert recorded.metrics["onnx_max_difference"] < 1e-3
    assert recorded.params["data_sha256"] == metrics["data"]["sha256"]
    assert recorded.params["horizon"] == "12"


def test_the_report_follows(evaluated, metrics, run, monkeypatch):
    shutil.copytree(evaluated, "copy")
    monkeypatch.chdir("copy")
    marks = [f"<!-- {name}:start --><!-- {name}:end -->\n" for name in ("headline", "results")]
    Path("README.md").write_text("".join(marks), encoding="utf-8")
    outcome = run("report")
    assert outcome.code == 0, outcome.err
    readme = Path("README.md").read_text(encoding="utf-8")
    assert f"{metrics['model']['wape']:.3f}" in readme
    for name in figures.CAPTIONS:
        assert f"(reports/figures/{name})" in readme
    card = Path("reports/model_card.md").read_text(encoding="utf-8")
    for name in metrics["baselines"]:
        assert f"| {name} |" in card


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, refusal):
    shutil.copytree(trained.folder / "models", "models")
    configure({"data.test_fraction": 0.25})
    assert run("data").code == 0
    [line] = refusal("evaluate")
    assert "train" in line
    assert not artifacts.METRICS.exists()
