"""Writes several files, or none of them."""

from collections.abc import Mapping
from pathlib import Path


def write_all(root: Path, contents: Mapping[str, bytes]) -> None:
    """Write files below `root`; if one cannot be written, put all back as they were and raise."""
    paths = {root / name: content for name, content in contents.items()}
    before = {path: path.read_bytes() for path in paths if path.exists()}
    try:
        for path, content in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except BaseException:  # an interrupt, too
        for path in paths:
            if path in before:
                path.write_bytes(before[path])
            else:
                path.unlink(missing_ok=True)
        raise
