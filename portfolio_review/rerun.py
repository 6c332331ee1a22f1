"""What only running the project can show; done when asked for (RUN=1), in a copy, from nothing.

Whoever did not write the project should know: this runs its code, with the rights of who asks.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from .criteria import MET, NOT_ASKED, NOT_YET, Finding, criterion, judge
from .endpoint import COMMON
from .project import Project, number, part

SECONDS = 3 * 3600  # that one step may take
SAME = 0.02  # of a metric, relatively: another machine adds in another order
POINT = 0.01  # of a share, whatever it is: a calibration error of 0.02 moves by a tenth of itself
SHARES = re.compile(r"accuracy|f1|ece|coverage|_at_|precision|recall|auc")
ASK = "RUN=1 runs it, in a copy of the project."


class Ended(NamedTuple):
    """How a command ended, and the end of what it printed."""

    failed: bool
    said: str

    @property
    def fault(self) -> str | None:
        """What went wrong, or None."""
        return self.said if self.failed else None


@dataclass(frozen=True)
class Copy:
    """A copy of a project in an environment of its own."""

    root: Path
    package: str

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(
            self.root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        )

    def run(self, *command: str, **variables: str) -> Ended:
        """Run a command to its end."""
        print(f"review: {' '.join(command)}", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Ended(True, str(error))
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        last = lines[-3:] if done.returncode else lines[-1:]
        return Ended(done.returncode != 0, " / ".join(last) or f"exit code {done.returncode}")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a fresh shell: without what points at this project's."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MAKE", "MFLAGS", "RUN", "ONLINE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **variables}


def asked() -> bool:
    """Tell whether the project's code may be run."""
    return os.environ.get("RUN") == "1"


@lru_cache(maxsize=1)
def copied(root: Path, files: tuple[str, ...], package: str) -> tuple[Copy, str | None]:
    """Return a copy with its environment, and what went wrong with that; made once a process."""
    # Kept until the process ends: several criteria look at it.
    folder = tempfile.TemporaryDirectory(prefix="review-", ignore_cleanup_errors=True)
    _kept.append(folder)
    copy = Copy(Path(folder.name) / root.name, package)
    for name in files:
        if name != "dvc.lock" and not name.startswith("reports/"):
            (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy.root / name)
    copy.run("git", "init", "--quiet")  # DVC wants a repository
    return copy, copy.run(sys.executable, "scripts/setup_environment.py").fault


_kept: list[tempfile.TemporaryDirectory[str]] = []


@lru_cache(maxsize=1)
def piped(root: Path, files: tuple[str, ...], package: str) -> tuple[Copy, str | None]:
    """Return a copy in which the pipeline has run, and what went wrong with that."""
    copy, fault = copied(root, files, package)
    return copy, fault or copy.run(copy.python, "-m", package, "pipeline").fault


def _of(project: Project) -> tuple[Path, tuple[str, ...], str]:
    return project.root, tuple(project.files), project.package


@criterion("pipeline.repeats", "the pipeline, run again in a clean folder, gives the same")
def repeats(project: Project) -> Finding:
    if not asked():
        return Finding(NOT_ASKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    if fault:
        return Finding(NOT_YET, [fault], "Mend what stops it.")
    again = Project(copy.root)
    faults: list[str] = []
    evidence: list[str] = []
    old, new = (part(p.data("dvc.lock"), "stages") for p in (project, again))
    for stage in ("data", "train"):
        pair = [_outputs(part(stages, stage)) for stages in (old, new)]
        same = "the same hash" if pair[0] == pair[1] else "another hash"
        evidence.append(f"`{stage}`: {same} of {', '.join(pair[1])}")
        if stage == "data" and pair[0] != pair[1]:
            faults.append("`data`: its files differ from those that dvc.lock lists")
    before, after = (part(p.metrics, "model") for p in (project, again))
    for name, value in before.items():
        now = number(after.get(name))
        room = max(SAME * abs(value), POINT if SHARES.search(name) else 0)
        if now is None or abs(now - value) > room:
            faults.append(f"`model.{name}`: {value} before, {now} now")
    evidence.append(f"metrics: {', '.join(before)} within {SAME:.0%}, or {POINT} of a share")
    return judge(
        faults, evidence, "Seed what is drawn, pin what is installed, run `make pipeline`."
    )


def _outputs(stage: dict[str, Any]) -> dict[str, Any]:
    outs = stage.get("outs")
    found = [out for out in outs if isinstance(out, dict)] if isinstance(outs, list) else []
    return {str(out.get("path")): out.get("md5") for out in found}


@criterion("engineering.tests_pass", "the tests pass")
def tests_pass(project: Project) -> Finding:
    return _tried(project, "python", "-m", "pytest", "-q")


@criterion("engineering.lint_passes", "style and types are clean")
def lint_passes(project: Project) -> Finding:
    evidence: list[str] = []
    for step in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)):
        finding = _tried(project, "python", "-m", *step)
        if finding.verdict != MET:
            return finding
        evidence += finding.evidence
    return Finding(MET, evidence)


@criterion("endpoint.image_builds", "the container image builds, and answers as the model does")
def image_builds(project: Project) -> Finding:
    if asked() and shutil.which("docker") is None:
        return Finding(NOT_ASKED, ["docker: not here"], "Install Docker, and review again.")
    return _tried(project, "python", "scripts/image.py")


@criterion("endpoint.deploys", "`make deploy` shows its commands, tried without effect", must=False)
def deploys(project: Project) -> Finding:
    if not project.has("deploy/deploy.sh"):
        return Finding(NOT_ASKED, ["deploy/deploy.sh: not here"], "endpoint.target says what next.")
    return _tried(project, "bash", "deploy/deploy.sh", DRY_RUN="1")


def _tried(project: Project, program: str, *arguments: str, **variables: str) -> Finding:
    """Run a program where the pipeline has run; `python` is that of the copy's environment."""
    if not asked():
        return Finding(NOT_ASKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    found = copy.python if program == "python" else program
    ended = Ended(True, fault) if fault else copy.run(found, *arguments, **variables)
    settings = (f"{name}={value}" for name, value in variables.items())
    evidence = f"{' '.join([*settings, program, *arguments])}: {ended.said}"
    return judge([evidence] if ended.failed else [], evidence, "Mend what it says.")


@criterion("endpoint.answers", "the API answers, and refuses what does not fit")
def answers(project: Project) -> Finding:
    if not asked():
        return Finding(NOT_ASKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    if fault:
        return Finding(NOT_YET, [fault], "Mend what stops the pipeline.")
    faults: list[str] = []
    evidence: list[str] = []
    example = Project(copy.root).data("scripts/example_request.json")
    path, body = str(example.get("path", "/")), json.dumps(example.get("body")).encode()
    requests = [(route, None, 200) for route in ("/", "/docs", *COMMON)]
    with serving(copy) as url:
        for route, sent, wanted in [*requests, (path, body, 200), (path, b'"no such body"', 422)]:
            status = ask(f"{url}{route}", sent)
            seen = f"{'POST' if sent else 'GET'} {route}: {status}"
            evidence.append(seen)
            faults += [] if status == wanted else [f"{seen}, {wanted} wanted"]
    return judge(faults, evidence, "Start it with `make serve`, and ask.")


def ask(url: str, body: bytes | None = None) -> int | str:
    """Return the status of an answer, or why there is none."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error)


@contextmanager
def serving(copy: Copy) -> Iterator[str]:
    """Run the API on a free port, wait until it is ready, and yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [copy.python, "-m", copy.package, "serve"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        command,
        cwd=copy.root,
        env=environment(HOST="127.0.0.1", PORT=str(port)),
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
    )
    try:
        for _ in range(600):
            if server.poll() is not None or ask(f"{url}/ready") == 200:
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
