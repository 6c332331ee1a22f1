"""Runs the stages of `dvc.yaml` and records the parameters that it compares."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from . import artifacts, config
from .config import Settings
from .errors import UserError

RECORD = Path(".params.yaml")


def reproduce(package: str, overrides: list[str]) -> None:
    """Run what is out of date; overrides reach each stage as environment variables."""
    # `python` in dvc.yaml means this interpreter, whether or not its environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, **config.as_environment(package, overrides)}
    if subprocess.run([sys.executable, "-m", "dvc", "repro"], env=environment).returncode:
        raise UserError("the pipeline stopped; the lines above name the stage and the reason")


def record(params: Settings) -> None:
    """Write `.params.yaml`, which DVC compares instead of `params.yaml`.

    It includes overrides, and the hashes of local data files, which may be edited in place.
    """
    values = params.model_dump(mode="json")
    sources = {
        key: Path(os.path.expanduser(source))
        for key, source in values["data"].items()
        if isinstance(source, str) and key.endswith("source")
    }
    values["data"]["local_files"] = {
        key: artifacts.sha256(path) for key, path in sources.items() if _may_hold_data(path)
    }
    artifacts.write_text(RECORD, yaml.safe_dump(values, sort_keys=False))


def _may_hold_data(path: Path) -> bool:
    """Tell files and folders from devices, and from a folder that contains this project."""
    if os.path.isdir(path):
        return not Path.cwd().is_relative_to(path.resolve())
    return os.path.isfile(path)
