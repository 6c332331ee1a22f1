"""What the tests of a text classifier share: a small data set, a trained model."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from portfolio_kit.artifacts import MODELS

pytest_plugins = ["encoder_fixtures"]

NOTES = Path(__file__).parent / "data" / "notes.csv"
LABELS = ["computers", "electrics", "garden", "plumbing"]

# Every parameter that matters here, whatever params.yaml says today.
SETTINGS = {
    "seed": 13,
    "data.source": str(NOTES),
    "data.sha256": None,
    "data.text_column": "note",
    "data.label_column": "team",
    "data.group_column": "reporter",
    "data.test_source": None,
    "data.near_duplicate_similarity": None,
    "data.valid_fraction": 0.1,
    "data.test_fraction": 0.2,
    "model.max_tokens": 64,
    "train.epochs": 2,
    "train.batch_size": 24,
    "train.learning_rate": 1e-4,
    "train.head_learning_rate": 2e-3,
    "train.warmup_fraction": 0.1,
    "train.weight_decay": 0.01,
    "train.dropout": 0.1,
    "train.label_smoothing": 0.1,
    "train.class_weight_power": 0.5,
    "train.freeze_layers": 4,
    "train.patience": 2,
    "train.threads": 1,
    "train.precision": "fp32",
    "train.checkpoint_steps": 100,
    "train.refit": False,
    "train.int8": False,
    "train.review_precision": 0.9,
    "evaluate.bootstrap_samples": 200,
    "serve.threads": 1,
    "serve.max_body_bytes": 1_000_000,
    "serve.review_below": None,
    "serve.examples": ["The hedge covers the sign.", "I cannot log in since the update."],
}


@pytest.fixture(scope="session")
def configure(write_params):
    """Write a params.yaml for the notes, with changes, into the working directory."""

    def configure(changes=()):
        return write_params({**SETTINGS, **dict(changes)})

    return configure


@pytest.fixture(scope="session")
def notes():
    """The notes as a table: note, team, reporter."""
    return pd.read_csv(NOTES)


@pytest.fixture
def given(configure):
    """Write a data file, as text or bytes, and a params.yaml that names it."""

    def given(content, name="notes.csv", **changes):
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        data = {f"data.{key}": value for key, value in changes.items()}
        return configure({"data.source": name, "data.group_column": None, **data})

    return given


@pytest.fixture(scope="session")
def trained(tmp_path_factory, configure, backbone, tracking_store):
    """A project after `data` and `train` on the notes, with the project's own encoder.

    `exported` are the arguments of the export, the first of them the torch model.
    """
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
        params = configure({"model.backbone": str(backbone)})
        prepare(params)
        train.train(params)
    return SimpleNamespace(folder=folder, params=params, model=exported[0], exported=exported)


@pytest.fixture(scope="session")
def predictor(trained):
    """The exported model, loaded as the API loads it."""
    from {{cookiecutter.package_name}}.predictor import Predictor

    return Predictor.load(trained.folder / MODELS, trained.params.serve)


@pytest.fixture(scope="session")
def evaluated(trained):
    """The trained project's folder after `evaluate`."""
    from {{cookiecutter.package_name}}.evaluation.evaluate import evaluate

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained.folder)
        evaluate(trained.params)
    return trained.folder


@pytest.fixture
def example_metrics():
    """Made-up results, as `evaluate` writes them."""
    from {{cookiecutter.package_name}}.evaluation.metrics import Metrics

    row = {"precision": 0.75, "recall": 0.6, "f1": 2 / 3, "rows": 40}
    chosen = {
        "target_precision": 0.95,
        "threshold": 0.7022,
        "valid_coverage": 0.9411,
        "coverage": 0.9288,
        "precision": 0.9404,
        "precision_interval_95": [0.9292, 0.9499],
    }
    nothing = {"coverage": 0, "precision": None, "precision_interval_95": None}
    return Metrics.model_validate(
        {
            "project_type": "text-classification",
            "model_version": "0123456789ab",
            "data": {"sha256": "d" * 64, "rows": {"train": 1400, "valid": 200, "test": 400}},
            "model": {"accuracy": 0.91239, "macro_f1": 0.90051, "ece": 0.0449},
            "baselines": {
                "majority class": {"accuracy": 0.5, "macro_f1": 1 / 3, "ece": 0.5},
                "TF-IDF": {"accuracy": 0.85, "macro_f1": 0.8123, "ece": 0.1},
            },
            "intervals_95": {"accuracy": [0.8811, 0.9409], "macro_f1": [0.85, 0.95]},
            "versus_best_baseline": {
                "baseline": "TF-IDF",
                "metric": "macro_f1",
                "difference": 0.08821,
                "interval_95": [0.0512, 0.1277],
            },
            "calibration": {"temperature": 0.63, "ece_before": 0.1602, "ece_after": 0.0449},
            "selective_prediction": chosen,
            "review_options": [chosen, chosen | nothing | {"target_precision": 0.99}],
            "slices": {"1 to 9 words": {"rows": 40, "accuracy": 0.9, "interval_95": [0.77, 0.96]}},
            "per_class": dict.fromkeys(LABELS, row),
            "train_seconds": 61.4,
            "peak_memory_mb": 1234.5,
        }
    )
