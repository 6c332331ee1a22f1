"""Records the parameters in force where `dvc.yaml` looks for them."""

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
        key: Path(source).expanduser()
        for key, source in values["data"].items()
        if isinstance(source, str) and key.endswith("source")
    }
    values["data"]["local_files"] = {
        key: artifacts.sha256(path) for key, path in sources.items() if path.exists()
    }
    artifacts.write_text(RECORD, yaml.safe_dump(values, sort_keys=False))
