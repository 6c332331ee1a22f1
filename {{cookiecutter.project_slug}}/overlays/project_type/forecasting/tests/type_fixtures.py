"""What the tests of a forecaster share: hires, and a small model trained on them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

# A history that matches the API's schema may still be too short or irregular: then 422 is right.
EXCLUDED_CHECKS = ["positive_data_acceptance"]

# Every parameter that matters here, whatever params.yaml says today.
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
    """Return hires as a table: ts, hires, rain (known afterwards), event (known in advance)."""
    random = np.random.default_rng(3)
    hours = 24 * days
    moments = pd.date_range("2024-03-01", periods=hours, freq="h", unit="s")
    hour, day = moments.hour.to_numpy(), np.arange(hours) // 24
    rain = random.gamma(0.5, 2.0, size=days).round(1)[day]
    event = (random.random(days) < 0.25)[day] * (hour > 12)
    usual = 100 + 40 * np.sin(2 * np.pi * (hour - 9) / 24) - 15 * (moments.weekday >= 5)
    noise = lfilter([1], [1, -0.9], random.normal(0, 3, size=hours))  # it lasts some hours
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
    """Write a params.yaml for the hires, with changes, into the working directory."""

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
    from {{cookiecutter.package_name}}.data.prepare import prepare
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
        prepare(params)
        train.train(params)
    return SimpleNamespace(folder=folder, params=params, model=exported[0], exported=exported)


@pytest.fixture(scope="session")
def predictor(trained):
    """The exported model, loaded as the API loads it."""
    from {{cookiecutter.package_name}}.predictor import Predictor

    return Predictor.load(trained.folder / "models", trained.params.serve)
