"""The benchmark's own environment: what only the comparison needs does not come into `.venv`."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts import setup_environment

from {{ cookiecutter.package_name }}.errors import UserError

FOLDER = Path(".cache/bench")
BIN = FOLDER / setup_environment.BIN.name
PYTHON = BIN / setup_environment.PYTHON.name


def install() -> None:
    """Install the pins of the extra `bench` into `.cache/bench`, unless they are there."""
    if not setup_environment.PYTHON.exists():
        raise UserError(f"{setup_environment.VENV}: not here; run `make setup`")
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["optional-dependencies"]["bench"]
    settings = setup_environment.uv_environment()
    uv = shutil.which("uv") or str(setup_environment.BIN / "uv")
    commands = [[uv, "pip", "install", "--quiet", "--python", str(PYTHON), *pins]]
    if not PYTHON.exists():
        commands.insert(0, [uv, "venv", "--quiet", "--python", sys.executable, str(FOLDER)])
    print(f"{FOLDER}: {' '.join(pins)}", flush=True)
    for command in commands:
        if subprocess.run(command, env=settings).returncode:
            raise UserError(f"{FOLDER}: could not be installed; the lines above say why")
