"""Records runs with MLflow, by default in `mlflow.db`, an SQLite file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import psutil
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from . import artifacts
from .config import Settings
from .records import Metrics

DATABASE = Path("mlflow.db")
DEFAULT_URI = f"sqlite:///{DATABASE}"


@contextmanager
def run(params: Settings, run_id: str | None = None) -> Iterator[str]:
    """Open a new run, or reopen `run_id` if this database has it; yield its id.

    A new run records the parameters and, through MLflow itself, the git commit.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    if uri == DEFAULT_URI and not DATABASE.exists():
        artifacts.write_atomic(DATABASE, _make_tables)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(params.tracking.experiment)
    if run_id is not None and not mlflow.search_runs(
        filter_string=f"attributes.run_id = '{run_id}'", output_format="list"
    ):
        run_id = None  # a model trained elsewhere
    with mlflow.start_run(run_id=run_id) as active:
        if run_id is None:
            for name, value in params.model_dump().items():
                keys = value if isinstance(value, dict) else {None: value}
                mlflow.log_params({f"{name}.{key}" if key else name: keys[key] for key in keys})
        yield active.info.run_id


def record_evaluation(params: Settings, run_id: str | None, metrics: Metrics) -> None:
    """Add the held-out scores and the figures to the run that trained the model."""
    with run(params, run_id):
        mlflow.log_metrics({f"test_{name}": value for name, value in metrics.model.items()})
        mlflow.log_artifact(str(artifacts.METRICS))
        mlflow.log_artifacts(str(artifacts.REPORTS / "figures"), "figures")


def _make_tables(path: Path) -> None:
    """Create the database whole: a killed process would leave half of its tables."""
    path.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{path}", "mlruns").engine.dispose()


def peak_memory_mb() -> float:
    """Return the peak memory of this process in MB (10**6 bytes)."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
