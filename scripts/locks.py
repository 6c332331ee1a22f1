"""Locks what the projects of each type install: python scripts/locks.py [OPTION OF UV ...].

Writes `requirements/*.lock` of each type's overlay, with the command that a project has for it;
`--upgrade` takes newer versions of what the pins bring along.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
TYPES = TEMPLATE / "{{cookiecutter.project_slug}}" / "overlays" / "project_type"
LOCK = ["kit/portfolio_kit/deploy/setup_environment.py", "lock"]


def main(options: list[str]) -> None:
    generate = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config"]
    for overlay in sorted(TYPES.iterdir()):
        print(f"== {overlay.name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            answers = [f"--output-dir={folder}", str(TEMPLATE), f"project_type={overlay.name}"]
            subprocess.run([*generate, *answers], check=True, stdout=subprocess.DEVNULL)
            [project] = Path(folder).iterdir()
            if subprocess.run([sys.executable, *LOCK, *options], cwd=project).returncode:
                sys.exit(1)
            shutil.copytree(project / "requirements", overlay / "requirements", dirs_exist_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
