"""The template that these tools came with, and what it generates."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment

PACKED = Path(__file__).parent / "_template"  # in the wheel; pyproject.toml lists what is in it
ROOT = PACKED if PACKED.is_dir() else Path(__file__).resolve().parents[2]
SKELETON = "{{cookiecutter.project_slug}}"


def version() -> str:
    """Return the template's version."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(about["project"]["version"])


def prompts() -> dict[str, Any]:
    """Return the template's prompts with their defaults."""
    content = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return {name: raw for name, raw in content.items() if not name.startswith("_")}


def default_statement(project_type: str) -> str:
    """Return the problem statement that a project of this type gets if its author gives none."""
    return default_answer("problem_statement", project_type)


def default_answer(prompt: str, project_type: str) -> str:
    """Return what a prompt offers for this type of project."""
    default = Environment().from_string(prompts()[prompt])
    return default.render(cookiecutter={"project_type": project_type})


@contextmanager
def generated(answers: Mapping[str, str], template: Path = ROOT) -> Iterator[Path]:
    """Yield the folder of the project that a template generates from these answers.

    Raises ValueError if the template rejects them.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        folder = Path(home) / "generated"
        options = ["--no-input", "--default-config", "--output-dir", str(folder)]
        given = [f"{name}={answer}" for name, answer in answers.items()]
        try:
            subprocess.run(
                [sys.executable, "-m", "cookiecutter", *options, str(template), *given],
                # Python imports from the working folder, and cookiecutter keeps answers at home.
                cwd=home,
                env={
                    **os.environ,
                    "HOME": home,
                    "USERPROFILE": home,
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )
        except (subprocess.CalledProcessError, OSError, ValueError) as error:  # too long; not text
            raise ValueError("the template rejects these answers") from error
        [project] = folder.iterdir()
        yield project
