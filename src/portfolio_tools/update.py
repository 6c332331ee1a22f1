"""Updates a project with cruft, and lists what is left to merge.

cruft itself ends with 0 while a change lies in a `.rej` file or between conflict markers.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

CRUFT = ".cruft.json"
NOT_SEARCHED = {".git", ".venv", ".cache", "mlruns"}


def main() -> int:
    """Update the project in this folder; return 1 if that fails or something is left to merge."""
    parser = argparse.ArgumentParser(prog="portfolio-update", description=__doc__)
    _, options = parser.parse_known_args()  # the others are cruft's
    if not Path(CRUFT).is_file():
        line = "this project was not made with cruft; link it once: uvx cruft link TEMPLATE"
        print(f"error: {CRUFT} is missing, so {line}", file=sys.stderr)
        return 1
    # -P: Python would import files of the project in place of cruft's.
    command = [sys.executable, "-P", "-m", "cruft", "update", "--skip-apply-ask", *options]
    if subprocess.run(command).returncode:
        return 1
    left = [
        f"{name}: holds changes that git could not apply; merge them by hand" for name in rejects()
    ]
    left += [f"{name}: has conflicts between git's markers; resolve them" for name in unmerged()]
    if left:
        print("\n".join(left))
        print(f"error: the update left {len(left)} files to merge; see above", file=sys.stderr)
        return 1
    print("Next: git diff; make setup test pipeline; then commit.")
    return 0


def rejects() -> list[str]:
    """Return the names of the files with changes that git could not apply."""
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = [name for name in folders if name not in NOT_SEARCHED]
        found += [Path(folder, name).as_posix() for name in names if name.endswith(".rej")]
    return sorted(found)


def unmerged() -> list[str]:
    """Return the names of the files with conflicts, as git knows them."""
    command = ["git", "diff", "--name-only", "--relative", "--diff-filter=U", "-z"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    return sorted({*done.stdout.split("\0")} - {""})
