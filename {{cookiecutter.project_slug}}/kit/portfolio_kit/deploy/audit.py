"""Looks up known vulnerabilities of what the locks hold, and of torch: make audit.

Exits with 1 if there is one, or if they could not be looked up; `--ignore-vuln ID` accepts one.
PIP_AUDIT_OSV_URL names another service that speaks the API of osv.dev.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from . import sbom
from .setup_environment import LOCKS, TRAIN, entries, requirements

BOM = Path("build/sbom-locks.json")
AUDIT = [sys.executable, "-m", "pip_audit", "--vulnerability-service=osv", "--strict"]
# Without hashes and markers, torch would need one, too.
LISTED = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]


def main(arguments: list[str]) -> None:
    pyproject = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    try:
        locked = [entry for lock in LOCKS for entry in entries(lock.read_text(encoding="utf-8"))]
    except FileNotFoundError as error:
        sys.exit(f"error: {error.filename}: missing; run `make lock`")
    pins = [entry.partition(" \\\n")[0] for entry in locked]
    pins += [one for one in requirements(pyproject)[TRAIN] if one.startswith("torch==")]
    named = (pin.partition(" ;")[0].split("==") for pin in pins)
    contents = [sbom.Package("pypi", name, version) for name, version in named]
    project = pyproject["project"]
    sbom.write(BOM, project["name"], project["version"], contents)
    found = look_up(pins, arguments)
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        sys.exit(f"error: {len(found)} known; pin a fixed version in pyproject.toml, `make lock`")
    print(f"no known vulnerability in {len(pins)} packages, which {BOM} lists")


def look_up(pins: list[str], arguments: list[str]) -> list[str]:
    """Return a line per known vulnerability of pinned packages; exit if the service fails."""
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder, "pins.txt"), Path(folder, "report.json")
        listed.write_text("\n".join(pins), encoding="utf-8")
        options = [f"--requirement={listed}", f"--output={report}", *arguments]
        done = subprocess.run([*AUDIT, *LISTED, *options], stderr=subprocess.PIPE, encoding="utf-8")
        try:
            packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            reason = done.stderr.strip().rpartition("\n")[2]
            sys.exit(f"error: no vulnerability could be looked up: {reason:.300}")
    return [
        f"{one['name']} {one['version']}: {' '.join([flaw['id'], *flaw['aliases']])}, "
        f"fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in packages
        for flaw in one["vulns"]
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
