"""Records the parameters in force where `dvc.yaml` looks for them."""

from pathlib import Path

import yaml

from . import artifacts
from .config import Section

RECORD = Path(".params.yaml")


def run(params: Section) -> None:
    """Write `.params.yaml`, which DVC compares instead of `params.yaml`.

    So overrides count, and so does a local data file that was edited in place.
    """
    values = params.model_dump(mode="json")
    sources = {
        key: Path(source).expanduser()
        for key, source in values["data"].items()
        if isinstance(source, str) and key.endswith("source")
    }
    values["data"]["local_files"] = {
        key: artifacts.sha256(path) for key, path in sources.items() if path.is_file()
    }
    artifacts.write_text(RECORD, yaml.safe_dump(values, sort_keys=False))
