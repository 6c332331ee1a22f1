"""One measured server: started, awaited, suspended, resumed, watched, stopped."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ..deploy.smoke_test import headers
from ..errors import UserError
from .environment import FOLDER
from .rivals import Rival

START_SECONDS = 120
STOP_SECONDS = 30
GRACE_SECONDS = 3  # for processes that outlive the one that started them
RESIDENT = re.compile(r"^Rss:\s+(\d+) kB", re.MULTILINE)
PRIVATE = re.compile(r"^Private_\w+:\s+(\d+) kB", re.MULTILINE)
# Ignore proxies: the servers are local.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server:
    """A command that serves on HOST and PORT, with all the processes that it starts."""

    def __init__(self, rival: Rival, path: str, variables: Mapping[str, str]) -> None:
        self.name, self.about, self.folder, self.path = rival.name, rival.about, rival.folder, path
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self.peak = 0  # bytes of memory, the most that was seen
        self._command = rival.command
        self._variables = {**os.environ, **variables, "HOST": "127.0.0.1", "PORT": str(self.port)}
        self._log = FOLDER / f"{self.name.replace(' ', '-')}.log"
        self._process: psutil.Popen | None = None

    def start(self, body: str) -> float:
        """Return the seconds from the start of the process to its first answer, to `body`."""
        start = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = psutil.Popen(
                self._command,
                cwd=self.folder,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while time.perf_counter() - start < START_SECONDS:
            with suppress(OSError):
                self.ask(body)
                return time.perf_counter() - start
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        raise UserError(f"{self.name} did not start: {last.strip():.200} (see {self._log})")

    def ask(self, body: str) -> Any:
        """Return the answer to one request; raises an `OSError` if there is none.

        Raises `UserError` if it needs an API key, which the environment's API_KEY holds.
        """
        request = urllib.request.Request(self.url, body.encode(), headers())
        try:
            with opener.open(request, timeout=START_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                raise UserError(f"{self.name} needs an API key: set API_KEY to one") from None
            raise

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run inside the `with` block only."""
        _each(self._tree(), psutil.Process.resume)
        try:
            yield
        finally:
            self.suspend()

    def suspend(self) -> None:
        """Suspend its processes; they keep their memory and their connections."""
        _each(self._tree(), psutil.Process.suspend)

    def stop(self) -> None:
        """Terminate all its processes, and kill those that stay."""
        processes = self._tree()
        _each(processes, psutil.Process.resume)
        _each(processes[:1], psutil.Process.terminate)  # which terminates the others
        psutil.wait_procs(processes[:1], STOP_SECONDS)
        _, alive = psutil.wait_procs(processes, GRACE_SECONDS)
        _each(alive, psutil.Process.kill)
        psutil.wait_procs(alive, GRACE_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill all its processes."""
        processes = self._tree()
        _each(processes, psutil.Process.kill)
        psutil.wait_procs(processes, STOP_SECONDS)
        self._process = None

    def watch(self) -> None:
        """Record its memory if it is more than before."""
        self.peak = max(self.peak, memory(self._tree()))

    def _tree(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def memory(processes: list[psutil.Process]) -> int:
    """Return resident bytes: what is private to each process, and what they share, counted once.

    For one process this is its resident set size. Off Linux, resident sets are added up.
    """
    private, shared = 0, [0]
    for process in processes:
        try:
            pages = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            own = sum(map(int, PRIVATE.findall(pages)))
            private += 1024 * own
            shared.append(1024 * (int(RESIDENT.findall(pages)[0]) - own))
        except (OSError, IndexError):
            with suppress(psutil.NoSuchProcess):
                private += process.memory_info().rss
    return private + max(shared)


def _each(processes: list[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            action(process)
