"""Runs a project, in a copy with a separate environment.

This runs the project's code with the user's rights.
"""

import http.client
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
from typing import NamedTuple

from .project import Project

SECONDS = 3 * 3600  # per step
SETUP = "kit/portfolio_kit/deploy/setup_environment.py"


class Ended(NamedTuple):
    """How a command ended, and the end of its output."""

    failed: bool
    said: str

    @property
    def fault(self) -> str | None:
        """What went wrong, or None."""
        return self.said if self.failed else None


@dataclass(frozen=True)
class Copy:
    """A copy of a project, with its package's name."""

    root: Path
    package: str

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        name = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return str(self.root / ".venv" / name)

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
    """Return the environment of a fresh shell, without what points at this one's tools."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MAKE", "MFLAGS", "RUN", "ONLINE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **variables}


@lru_cache(maxsize=1)
def copied(root: Path, files: tuple[str, ...], package: str) -> tuple[Copy, str | None]:
    """Return a copy with its environment, and what went wrong; made once per process."""
    # Kept until the process ends: several criteria use it.
    folder = tempfile.TemporaryDirectory(prefix="review-", ignore_cleanup_errors=True)
    _kept.append(folder)
    copy, project = Copy(Path(folder.name) / root.name, package), Project(root)
    for name in files:
        if name != "dvc.lock" and not name.startswith("reports/"):
            (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
            if path := project.file(name):
                shutil.copyfile(path, copy.root / name)
    copy.run("git", "init", "--quiet")  # DVC wants a repository
    return copy, copy.run(sys.executable, SETUP).fault


_kept: list[tempfile.TemporaryDirectory[str]] = []


@lru_cache(maxsize=1)
def piped(root: Path, files: tuple[str, ...], package: str) -> tuple[Copy, str | None]:
    """Return a copy in which the pipeline has run, and what went wrong."""
    copy, fault = copied(root, files, package)
    return copy, fault or copy.run(copy.python, "-m", package, "pipeline").fault


def ask(url: str, body: bytes | None = None) -> int | str:
    """Return the status of a response, or why there is none."""
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
