"""Runs are recorded where they are looked for, with what it takes to repeat them."""

from pathlib import Path

import mlflow
import pytest

from {{cookiecutter.package_name}}.training import tracking


@pytest.fixture
def params(write_params):
    """Settings that name an experiment."""
    return write_params({"tracking.experiment": "made-up", "seed": 21})


def test_a_run_is_recorded_and_can_be_continued(params):
    with tracking.run(params) as run_id:
        mlflow.log_metrics({"loss": 0.5}, step=1)
        mlflow.log_metrics({"loss": 0.25}, step=2)
    with tracking.run(params, run_id) as again:
        mlflow.log_metrics({"test_score": 0.75})
    assert again == run_id
    assert Path("mlflow.db").is_file()

    recorded = mlflow.get_run(run_id).data
    assert recorded.params["seed"] == "21"
    assert recorded.params["serve.threads"] == str(params.serve.threads)
    assert recorded.metrics == {"loss": 0.25, "test_score": 0.75}
    assert recorded.tags["mlflow.source.git.commit"]
    losses = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [(1, 0.5), (2, 0.25)]
    assert [run.info.run_id for run in mlflow.search_runs(output_format="list")] == [run_id]


def test_another_address_is_used_if_there_is_one(params, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    with tracking.run(params):
        pass
    assert Path("elsewhere.db").is_file()
    assert not Path("mlflow.db").exists()
