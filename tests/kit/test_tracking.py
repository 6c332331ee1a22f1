"""Runs are recorded with everything needed to repeat them."""

import mlflow
import pytest

from portfolio_kit import tracking


@pytest.fixture
def params(write_params, tracking_store):
    """Parameters with a separate experiment."""
    return write_params({"tracking.experiment": "made-up", "seed": 21})


def test_runs_go_into_the_project_s_database(tracking_store):
    assert tracking_store.is_file()


def test_a_run_is_recorded_and_can_be_reopened(params):
    with tracking.run(params) as run_id:
        mlflow.log_metrics({"loss": 0.5}, step=1)
        mlflow.log_metrics({"loss": 0.25}, step=2)
    with tracking.run(params, run_id) as again:
        mlflow.log_metrics({"test_score": 0.75})
    assert again == run_id

    recorded = mlflow.get_run(run_id).data
    assert recorded.params["seed"] == "21"
    assert recorded.params["serve.threads"] == str(params.serve.threads)
    assert recorded.params["data.source"] == params.data.source
    assert recorded.metrics == {"loss": 0.25, "test_score": 0.75}
    losses = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [(1, 0.5), (2, 0.25)]
    runs = mlflow.search_runs(experiment_names=["made-up"], output_format="list")
    assert [run.info.run_id for run in runs] == [run_id]


def test_a_run_that_fails_is_recorded_as_failed(params):
    with pytest.raises(RuntimeError), tracking.run(params) as run_id:
        raise RuntimeError
    assert mlflow.get_run(run_id).info.status == "FAILED"
