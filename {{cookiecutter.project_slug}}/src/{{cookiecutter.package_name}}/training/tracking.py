"""Records runs with MLflow, by default in `mlflow.db`, an SQLite file; measures their memory."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import psutil
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from ..artifacts import write_atomic

DATABASE = Path("mlflow.db")
DEFAULT_URI = f"sqlite:///{DATABASE}"


@contextmanager
def run(params: Any, run_id: str | None = None) -> Iterator[str]:
    """Open a run, or the one with `run_id` again, for `mlflow.log_...`; yield its id.

    A new run gets the parameters, and from MLflow itself the git commit. A `run_id` that is not
    known here is a new run.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    if uri == DEFAULT_URI and not DATABASE.exists():
        write_atomic(DATABASE, _make_tables)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(params.tracking.experiment)
    if run_id is not None and not mlflow.search_runs(
        filter_string=f"attributes.run_id = '{run_id}'", output_format="list"
    ):
        run_id = None  # a model from elsewhere: its run is not in this database
    with mlflow.start_run(run_id=run_id) as active:
        if run_id is None:
            for name, value in params.model_dump().items():
                keys = value if isinstance(value, dict) else {None: value}
                named = {f"{name}.{key}" if key else name: keys[key] for key in keys}
                mlflow.log_params(named)
        yield active.info.run_id


def _make_tables(path: Path) -> None:
    """Make a database for runs: a process killed in the middle would leave half of its tables."""
    path.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{path}", "mlruns").engine.dispose()


def peak_memory_mb() -> float:
    """Return the most memory that this process has held, in MB (10**6 bytes)."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
