"""What only running the project can show; done when asked for (RUN=1), in a copy, from nothing.

Whoever did not write the project should know: this runs its code, with the rights of who asks.
"""

import http.client
import json
import os
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
from typing import Any

from .criteria import MET, NOT_ASKED, NOT_YET, Finding, criterion, judge
from .endpoint import COMMON
from .project import Project, number, part

SECONDS = 3 * 3600  # that one step may take
SAME = 0.02  # of a metric, relatively: another machine adds in another order
ASK = "RUN=1 runs it, in a copy of the project."


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

    def run(self, *command: str, **variables: str) -> str | None:
        """Run a command; return the end of what it printed if it failed, else None."""
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
            return str(error)
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        return " / ".join(lines[-3:]) or f"exit code {done.returncode}" if done.returncode else None


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
    return copy, copy.run(sys.executable, "scripts/setup_environment.py")


_kept: list[tempfile.TemporaryDirectory[str]] = []


@lru_cache(maxsize=1)
def piped(root: Path, files: tuple[str, ...], package: str) -> tuple[Copy, str | None]:
    """Return a copy in which the pipeline has run, and what went wrong with that."""
    copy, fault = copied(root, files, package)
    return copy, fault or copy.run(copy.python, "-m", package, "pipeline")


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
        if now is None or abs(now - value) > SAME * max(abs(value), SAME):
            faults.append(f"`model.{name}`: {value} before, {now} now")
    evidence.append(f"metrics: {', '.join(before)} within {SAME:.0%}")
    return judge(
        faults, evidence, "Seed what is drawn, pin what is installed, run `make pipeline`."
    )


def _outputs(stage: dict[str, Any]) -> dict[str, Any]:
    outs = stage.get("outs")
    found = [out for out in outs if isinstance(out, dict)] if isinstance(outs, list) else []
    return {str(out.get("path")): out.get("md5") for out in found}


@criterion("engineering.tests_pass", "the tests pass")
def tests_pass(project: Project) -> Finding:
    return _step(project, "-m", "pytest", "-q")


@criterion("engineering.lint_passes", "style and types are clean")
def lint_passes(project: Project) -> Finding:
    for step in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)):
        finding = _step(project, "-m", *step)
        if finding.verdict != MET:
            return finding
    return finding


@criterion("endpoint.image_builds", "the container image builds, and answers as the model does")
def image_builds(project: Project) -> Finding:
    if asked() and shutil.which("docker") is None:
        return Finding(NOT_ASKED, ["docker: not here"], "Install Docker, and review again.")
    return _step(project, "scripts/image.py")


def _step(project: Project, *arguments: str) -> Finding:
    """Run Python with these arguments where the pipeline has run."""
    if not asked():
        return Finding(NOT_ASKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    command = f"python {' '.join(arguments)}"
    fault = fault or copy.run(copy.python, *arguments)
    return judge([f"{command}: {fault}"] if fault else [], command, "Mend what it says.")


@criterion("endpoint.deploys", "`make deploy` shows its commands, tried without effect", must=False)
def deploys(project: Project) -> Finding:
    if not project.has("deploy/deploy.sh"):
        return Finding(NOT_ASKED, ["deploy/deploy.sh: not here"], "endpoint.target says what next.")
    if not asked():
        return Finding(NOT_ASKED, ["not run"], ASK)
    copy, fault = piped(*_of(project))
    command = ("bash", "deploy/deploy.sh")
    fault = fault or copy.run(*command, DRY_RUN="1")
    shown = f"DRY_RUN=1 {' '.join(command)}"
    return judge([f"{shown}: {fault}"] if fault else [], shown, "Mend what it says.")


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
            (evidence if status == wanted else faults).append(f"{seen}, {wanted} wanted")
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
