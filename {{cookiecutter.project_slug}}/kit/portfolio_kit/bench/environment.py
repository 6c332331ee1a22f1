"""The benchmark's own environment: rivals' packages are not installed into `.venv`."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from ..deploy import setup_environment
from ..errors import UserError

FOLDER = Path(".cache/bench")
BIN = FOLDER / setup_environment.BIN.name
PYTHON = BIN / setup_environment.PYTHON.name


def install() -> None:
    """Install the pins of the extra `bench` into `.cache/bench`, unless they are there."""
    if not setup_environment.PYTHON.exists():
        raise UserError(f"{setup_environment.VENV}: missing; run `make setup`")
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["optional-dependencies"]["bench"]
    uv = shutil.which("uv") or str(setup_environment.BIN / "uv")
    commands = [[uv, "pip", "install", "--quiet", "--python", str(PYTHON), *pins]]
    if not PYTHON.exists():
        commands.insert(0, [uv, "venv", "--quiet", "--python", sys.executable, str(FOLDER)])
    print(f"{FOLDER}: {' '.join(pins)}", flush=True)
    for command in commands:
        if subprocess.run(command, env=setup_environment.uv_environment()).returncode:
            raise UserError(f"{FOLDER}: could not be installed; the lines above say why")
