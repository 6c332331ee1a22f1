"""The evaluation: the exported model and its baselines, on the test block and nothing else."""

import shutil
from pathlib import Path

import matplotlib.image
import mlflow
import numpy as np
import pandas as pd
import pytest

from portfolio_kit import artifacts
from portfolio_kit.timegrid.series import Question, Series

from {{cookiecutter.package_name}}.data.prepare import BLOCKS
from {{cookiecutter.package_name}}.evaluation.metrics import REPORTING, Metrics, highlights

STEP_SIZE = 5


@pytest.fixture(scope="module")
def evaluated(trained):
    """The trained project's folder after its evaluation."""
    from {{cookiecutter.package_name}}.evaluation.evaluate import evaluate

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        evaluate(trained.params)
    return trained.folder


@pytest.fixture(scope="module")
def metrics(evaluated):
    """What the evaluation wrote."""
    return Metrics.model_validate_json((evaluated / artifacts.METRICS).read_bytes())


@pytest.fixture(scope="module")
def blocks(evaluated):
    """The blocks of time, and where the test block begins."""
    tables = [pd.read_parquet(evaluated / f"data/processed/{name}.parquet") for name in BLOCKS]
    rows = pd.concat(tables, ignore_index=True)
    return rows, len(rows) - len(tables[2])


@pytest.fixture(scope="module")
def by_window(blocks, predictor):
    """What came and the quantiles of each window, made one by one from the files alone."""
    shape, (rows, first) = predictor.shape, blocks
    pairs = []
    for origin in range(first, len(rows) - shape.horizon + 1, STEP_SIZE):
        known, ahead = rows[:origin], rows[: origin + shape.horizon]
        series = Series(
            name="y",
            start=known["ds"].to_numpy("datetime64[s]")[0],
            y=known["y"].to_numpy(np.float64),
            past=known[shape.past_columns].to_numpy(np.float32),
            future=ahead[shape.future_columns].to_numpy(np.float32),
            observed=np.ones(len(known), bool),
        )
        [quantiles] = predictor.answer([Question(series, shape.horizon, shape.horizon)])
        pairs.append((ahead["y"][origin:].to_numpy(), quantiles))
    return tuple(map(np.array, zip(*pairs, strict=True)))


def test_scores_are_those_of_forecasts_made_one_by_one_as_the_api_makes_them(metrics, by_window):
    y, quantiles = by_window
    middle, model = quantiles[:, :, 2], metrics.model
    assert (metrics.windows.n_windows, metrics.windows.step_size) == (len(y), STEP_SIZE)
    assert model["wape"] == pytest.approx(100 * np.abs(y - middle).sum() / y.sum(), rel=1e-3)
    assert model["rmse"] == pytest.approx(np.sqrt(((y - middle) ** 2).mean()), rel=1e-3)
    for level, (low, high) in {"80": (1, 3), "95": (0, 4)}.items():
        inside = (y >= quantiles[:, :, low]) & (y <= quantiles[:, :, high])
        assert model[f"coverage_{level}"] == pytest.approx(inside.mean(), abs=0.003)


def test_errors_are_scaled_by_those_of_repeating_a_season_in_training(
    metrics, evaluated, by_window
):
    y, quantiles = by_window
    train = pd.read_parquet(evaluated / "data/processed/train.parquet")["y"].to_numpy()
    scale = np.abs(train[48:] - train[:-48]).mean()
    expected = np.abs(y - quantiles[:, :, 2]).mean() / scale
    assert metrics.model["mase"] == pytest.approx(expected, rel=1e-3)


def test_the_model_has_learned_something(metrics):
    naive = [row["wape"] for name, row in metrics.baselines.items() if "naive" in name]
    assert len(naive) == 2
    assert metrics.model["wape"] < 0.9 * min(naive)
    assert metrics.model["coverage_80"] == pytest.approx(0.8, abs=0.15)


def test_the_seasonal_naive_forecast_repeats_the_last_season(metrics, blocks, by_window):
    season, (rows, first) = 48, blocks
    y, (came, _) = rows["y"].to_numpy(), by_window
    horizon = came.shape[1]
    starts = range(first, len(y) - horizon + 1, STEP_SIZE)
    naive = np.array([y[start - season : start - season + horizon] for start in starts])
    expected = 100 * np.abs(came - naive).sum() / came.sum()
    assert metrics.baselines["seasonal naive, 48 steps"]["wape"] == pytest.approx(expected)


def test_the_metrics_name_model_data_and_cost(metrics, predictor):
    model = predictor.manifest
    assert metrics.project_type == "forecasting"
    assert metrics.model_version == predictor.version
    assert metrics.data.sha256 == model.data_sha256
    assert metrics.train_seconds == model.train_seconds


def test_the_comparison_is_with_the_best_baseline(metrics):
    versus = metrics.versus_best_baseline
    errors = {name: row["wape"] for name, row in metrics.baselines.items()}
    assert errors[versus.baseline] == min(errors.values())
    assert versus.metric == "wape"
    assert versus.difference == metrics.versus[versus.baseline].difference
    assert list(metrics.versus) == list(errors)
    for name, row in metrics.versus.items():
        assert row.difference == pytest.approx(errors[name] - metrics.model["wape"])
        low, high = row.interval_95
        assert low <= row.difference <= high
        assert 0 <= row.diebold_mariano_p <= 1
    for name, (low, high) in metrics.intervals_95.items():
        assert low <= metrics.model[name] <= high


def test_slices_add_up_to_the_whole(metrics):
    total = metrics.windows.n_windows * 12
    assert list(metrics.slices) == ["lead", "hour", "weekday", "holiday"]
    assert list(metrics.slices["lead"]) == [str(lead) for lead in range(1, 13)]
    for parts in metrics.slices.values():
        assert sum(part.rows for part in parts.values()) == total
        share = sum(part.rows * part.coverage_80 for part in parts.values()) / total
        assert share == pytest.approx(metrics.model["coverage_80"])


def test_the_error_of_a_lead_time_is_that_of_its_steps(metrics, by_window):
    y, quantiles = by_window
    for lead in (0, 11):
        error = np.abs(y - quantiles[:, :, 2])[:, lead].sum() / y[:, lead].sum()
        found = metrics.slices["lead"][str(lead + 1)].error["this model"]
        assert found == pytest.approx(100 * error, rel=1e-3)


def test_foreknowledge_is_reported_as_an_upper_bound(metrics):
    known = metrics.foreknowledge
    trees = metrics.baselines["gradient-boosted trees, same features"]
    assert known.past_only == pytest.approx(trees["wape"])
    assert known.perfect > 0
    assert "upper bound" in highlights(metrics)
    without = metrics.model_copy(update={"foreknowledge": None})
    assert "upper bound" not in highlights(without)


def test_each_figure_of_the_readme_is_a_picture(evaluated):
    for name in REPORTING.captions:
        picture = matplotlib.image.imread(evaluated / "reports/figures" / name)
        height, width, *_ = picture.shape
        assert min(height, width) > 200
        assert np.ptp(picture) > 0.5


def test_the_scores_are_recorded_with_the_training_run(metrics, predictor):
    recorded = mlflow.get_run(predictor.manifest.tracking_run).data
    assert recorded.metrics["test_wape"] == pytest.approx(metrics.model["wape"])
    assert recorded.metrics["onnx_max_difference"] < 1e-3
    assert recorded.params["data_sha256"] == metrics.data.sha256
    assert recorded.params["horizon"] == "12"


def test_the_report_follows(evaluated, metrics, run, monkeypatch):
    shutil.copytree(evaluated, "copy")
    monkeypatch.chdir("copy")
    marks = [f"<!-- {name}:start --><!-- {name}:end -->\n" for name in ("headline", "results")]
    Path("README.md").write_text("".join(marks), encoding="utf-8")
    outcome = run("report")
    assert outcome.code == 0, outcome.err
    readme = Path("README.md").read_text(encoding="utf-8")
    assert f"{metrics.model['wape']:.3f}" in readme
    for name in REPORTING.captions:
        assert f"(reports/figures/{name})" in readme
    card = Path("reports/model_card.md").read_text(encoding="utf-8")
    for name, row in metrics.versus.items():
        assert f"| {name} | {row.difference:.3f} | " in card


def test_a_model_of_another_split_is_not_evaluated(trained, configure, run, rejection):
    shutil.copytree(trained.folder / "models", "models")
    configure({"data.test_fraction": 0.25})
    assert run("data").code == 0
    [line] = rejection("evaluate")
    assert "train" in line
    assert not artifacts.METRICS.exists()
