"""Runs the stages of `dvc.yaml`, skipping those whose inputs have not changed."""

import os
import subprocess
import sys
from pathlib import Path

from . import config
from .config import Section
from .errors import UserError


def run(params: Section, overrides: list[str]) -> None:
    """Reproduce the pipeline; overrides reach each stage as environment variables."""
    # `python` in dvc.yaml is this interpreter, whether or not its environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, **config.as_environment(overrides)}
    if subprocess.run([sys.executable, "-m", "dvc", "repro"], env=environment).returncode:
        raise UserError("the pipeline stopped: the lines above name the stage and the reason")
