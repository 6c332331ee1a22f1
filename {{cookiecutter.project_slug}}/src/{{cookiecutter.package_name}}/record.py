"""Records the parameters in force where `dvc.yaml` looks for them."""

import os
from pathlib import Path

import yaml

from . import artifacts
from .config import Section

RECORD = Path(".params.yaml")


def run(params: Section) -> None:
    """Write `.params.yaml`, which DVC compares instead of `params.yaml`.

    So overrides count, and so do local data files that were edited in place.
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
    """Tell files and folders from devices, and from a folder that holds this very project."""
    if os.path.isdir(path):
        return not Path.cwd().is_relative_to(path.resolve())
    return os.path.isfile(path)
