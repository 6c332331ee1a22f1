"""Code of the project beside the package: what serves needs none of it, and is shipped without."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from .errors import UserError


def load(name: str) -> ModuleType:
    """Import a module of a folder of the project; raise UserError where that folder is not."""
    folder = name.partition(".")[0]
    if not (Path.cwd() / folder).is_dir():
        raise UserError(f"{folder}/: not found here; run this in the project's folder")
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)
