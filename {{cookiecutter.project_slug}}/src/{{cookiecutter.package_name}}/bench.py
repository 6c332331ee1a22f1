"""The bench verb: this API against other ways to serve its model; the code is `benchmarks/`."""

import importlib
import sys
from pathlib import Path

from .config import Section
from .errors import UserError

FOLDER = Path("benchmarks")  # not in the package: what serves needs none of it


def run(params: Section, overrides: list[str]) -> None:
    """Measure, print, and write `reports/bench.md` and `reports/bench.json`."""
    if not (FOLDER / "serving.py").is_file():
        raise UserError(f"{FOLDER}/: not found here; run this in the project's folder")
    sys.path.insert(0, str(Path.cwd()))
    importlib.import_module(f"{FOLDER}.serving").run(params, overrides)
