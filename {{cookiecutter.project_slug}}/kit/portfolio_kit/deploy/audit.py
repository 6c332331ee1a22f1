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

from cyclonedx.model.component import Component

from . import sbom
from .setup_environment import LOCKS, TRAIN, entries, requirements

BOM = Path("build/sbom-locks.json")
AUDIT = [sys.executable, "-m", "pip_audit", "--vulnerability-service=osv", "--strict"]
# Without hashes: a file with some needs one of each package, and torch has none.
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
    sbom.write(BOM, Component(name=project["name"], version=project["version"]), contents)
    count, found = look_up(pins, arguments)
    for line in found:
        print(line)
    if found:
        fix = 'run `make lock ARGS="--upgrade-package NAME"`, or change its pin in pyproject.toml'
        sys.exit(f"error: {len(found)} of {count} packages have known vulnerabilities; {fix}")
    print(f"no known vulnerability in {count} packages; {BOM} lists all locked ones")


def look_up(pins: list[str], arguments: list[str]) -> tuple[int, list[str]]:
    """Return how many packages this system has, and a line for each with a vulnerability.

    Exits if the service cannot be asked.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder, "pins.txt"), Path(folder, "report.json")
        listed.write_text("\n".join(pins), encoding="utf-8")
        options = [f"--requirement={listed}", f"--output={report}", *arguments]
        done = subprocess.run([*AUDIT, *LISTED, *options], stderr=subprocess.PIPE, encoding="utf-8")
        try:
            packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
            where = "api.osv.dev, or the service that PIP_AUDIT_OSV_URL names, must answer"
            sys.exit(f"error: nothing was looked up; {where}: {reason:.300}")
    lines = [
        f"{one['name']} {one['version']}: "
        + "; ".join(
            f"{' '.join([flaw['id'], *flaw['aliases']])}, "
            f"fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
            for flaw in one["vulns"]
        )
        for one in packages
        if one["vulns"]
    ]
    return len(packages), lines


if __name__ == "__main__":
    main(sys.argv[1:])
