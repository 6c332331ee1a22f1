"""What the tests of a forecaster share: hires, and a small model trained on them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

# A history that fits the schema may still be too short, or irregular: then a 422 is right.
EXCLUDED_CHECKS = ["positive_data_acceptance"]

# How many requests are made up for each route, so that there are 2,000.
CASES_OF_A_ROUTE = 1_000

# What only training installs, beyond what it does for every type.
TRAINING = "statsforecast tqdm"

# A request, and what its answer holds.
QUESTION = ("/forecast", {"h": 1})
ANSWER = "'y_hat': "

# What makes the example request take its time.
SLOWLY = {"h": 480}

# Every knob that matters here, whatever params.yaml says today.
SETTINGS = {
    "seed": 13,
    "data.sha256": None,
    "data.id_column": None,
    "data.time_column": "ts",
    "data.target_column": "hires",
    "data.future_columns": ["event"],
    "data.past_columns": ["rain"],
    "data.past_delay": 5,
    "data.freq": "h",
    "data.timezone": None,
    "data.holidays": "US-DC",
    "data.gaps": "error",
    "data.positive": False,
    "data.valid_fraction": 0.1,
    "data.test_fraction": 0.2,
    "horizon": 12,
    "season_lengths": [24, 48],
    "model.seasons": 1,
    "model.hidden": 16,
    "model.members": 1,
    "train.epochs": 6,
    "train.batch_size": 64,
    "train.learning_rate": 0.005,
    "train.warmup_fraction": 0.1,
    "train.weight_decay": 0.01,
    "train.dropout": 0.1,
    "train.patience": 12,
    "train.threads": 1,
    "train.checkpoint_steps": 100,
    "evaluate.step_size": 5,
    "evaluate.bootstrap_samples": 200,
    "serve.threads": 1,
    "serve.max_body_bytes": 1_000_000,
    "serve.examples": [],
}


def make_hires(days):
    """Return hires as a table: ts, hires, rain (known afterwards), event (known before)."""
    random = np.random.default_rng(3)
    hours = 24 * days
    moments = pd.date_range("2024-03-01", periods=hours, freq="h", unit="s")
    hour, day = moments.hour.to_numpy(), np.arange(hours) // 24
    rain = random.gamma(0.5, 2.0, size=days).round(1)[day]
    event = (random.random(days) < 0.25)[day] * (hour > 12)
    usual = 100 + 40 * np.sin(2 * np.pi * (hour - 9) / 24) - 15 * (moments.weekday >= 5)
    noise = lfilter([1], [1, -0.9], random.normal(0, 3, size=hours))  # it stays for some hours
    y = np.maximum(usual * (1 - 0.05 * rain) + 40 * event + noise, 0).round()
    return pd.DataFrame({"ts": moments, "hires": y.astype(int), "rain": rain, "event": event * 1})


@pytest.fixture(scope="session")
def hires():
    """Hires of sixty days."""
    return make_hires(days=60)


@pytest.fixture(scope="session")
def hires_file(tmp_path_factory, hires):
    """The hires as a CSV file."""
    path = tmp_path_factory.mktemp("hires") / "hires.csv"
    hires.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def configure(write_params, hires_file):
    """Write a params.yaml that is about the hires, with changes, into the working directory."""

    def configure(changes=()):
        return write_params({**SETTINGS, "data.source": str(hires_file), **dict(changes)})

    return configure


@pytest.fixture
def given(configure):
    """Write a data file, from a table or as it is, and a params.yaml that names it."""

    def given(content, name="hires.csv", **changes):
        if not isinstance(content, pd.DataFrame):
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        elif name.endswith(".parquet"):
            content.to_parquet(name)
        else:
            content.to_csv(name, index=False)
        return configure(
            {"data.source": name, **{f"data.{key}": value for key, value in changes.items()}}
        )

    return given


@pytest.fixture(scope="session")
def trained(tmp_path_factory, configure, tracking_store):
    """A project after `data` and `train` on the hires: its folder, parameters and torch model."""
    from {{cookiecutter.package_name}}.data import prepare
    from {{cookiecutter.package_name}}.training import train

    folder = tmp_path_factory.mktemp("trained")
    exported = []

    def export(*arguments):
        exported[:] = arguments
        return train_export(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_export = train.export
        patch.setattr(train, "export", export)
        make_hires(days=200).to_csv("hires.csv", index=False)
        params = configure({"data.source": "hires.csv"})
        prepare.run(params)
        train.run(params)
    return SimpleNamespace(folder=folder, params=params, model=exported[0], exported=exported)


@pytest.fixture(scope="session")
def predictor(trained):
    """The exported model, loaded as the API loads it."""
    from {{cookiecutter.package_name}}.serving.predictor import Predictor

    return Predictor.load(trained.folder / "models", trained.params.serve)


@pytest.fixture
def example_model():
    """What the model card says of training, as `train` writes it."""
    return {
        "shape": {
            "horizon": 48,
            "season_lengths": [24, 168],
            "seasons": 3,
            "freq": "h",
            "timezone": None,
            "holidays": "US-DC",
            "past_delay": 23,
            "past_columns": ["tmin", "tmax", "pn"],
            "future_columns": [],
        },
        "windows": {"train": 54_000, "valid": 7_795},
        "nonnegative": True,
        "positive": False,
        "validation": {"epoch": 2, "loss": 0.0712},
        "margins": [-0.01, -0.005, 0.0, 0.005, 0.01],
        "levels": [0.025, 0.1, 0.5, 0.9, 0.975],
        "onnx": {"max_difference": 1.2e-6},
        "precision": "fp32",
    }


@pytest.fixture
def example_metrics():
    """Made-up results, as `evaluate` writes them."""
    versus = {"difference": 1.884, "interval_95": [1.277, 2.512], "diebold_mariano_p": 0.0021}
    errors = {"this model": 18.2, "seasonal naive": 30.1, "boosted trees": 20.4}
    return {
        "project_type": "forecasting",
        "model_version": "0123456789ab",
        "data": {"sha256": "d" * 64, "rows": {"train": 1400, "valid": 200, "test": 400}},
        "model": {
            "wape": 21.239,
            "mase": 0.7051,
            "rmse": 61.23,
            "mean_pinball": 11.42,
            "coverage_80": 0.803,
            "coverage_95": 0.9449,
            "width_80": 101.5,
            "width_95": 180.25,
        },
        "baselines": {
            "seasonal naive": {"wape": 35.5, "mase": 1.12, "rmse": 99.1},
            "boosted trees": {"wape": 23.123, "mase": 0.7612, "rmse": 66.6},
        },
        "intervals_95": {"wape": [20.11, 22.41], "coverage_80": [0.78, 0.82]},
        "versus_best_baseline": {"baseline": "boosted trees", "metric": "wape", **versus},
        "versus": {
            "seasonal naive": {**versus, "difference": 14.261, "interval_95": [13.1, 15.4]},
            "boosted trees": versus,
        },
        "foreknowledge": {"past_only": 23.123, "perfect": 19.87},
        "slices": {
            "weekday": {
                "Monday": {"rows": 1234, "wape": errors, "coverage_80": 0.81, "coverage_95": 0.953}
            }
        },
        "windows": {"n_windows": 680, "step_size": 23},
        "train_seconds": 61.4,
        "peak_memory_mb": 1234.5,
    }
