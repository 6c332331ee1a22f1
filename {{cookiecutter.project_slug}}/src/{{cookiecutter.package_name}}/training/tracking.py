"""Records runs with MLflow: by default in `mlflow.db`, an SQLite file in the project."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow

DEFAULT_URI = "sqlite:///mlflow.db"


@contextmanager
def run(params: Any, run_id: str | None = None) -> Iterator[str]:
    """Open a run, or the one with `run_id` again, for `mlflow.log_...`; yield its id.

    A new run gets the parameters and the git commit.
    """
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI))
    mlflow.set_experiment(params.tracking.experiment)
    with mlflow.start_run(run_id=run_id) as active:
        if run_id is None:
            for section, values in params.model_dump(exclude={"seed"}).items():
                mlflow.log_params({f"{section}.{key}": value for key, value in values.items()})
            mlflow.log_param("seed", params.seed)
            mlflow.set_tag("mlflow.source.git.commit", _git_commit())
        yield active.info.run_id


def _git_commit() -> str:
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return result.stdout.strip() or "unknown"
