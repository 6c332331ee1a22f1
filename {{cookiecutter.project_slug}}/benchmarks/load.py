"""Runs the load generator k6 and reads what it measured; what its clients do is in `load.js`."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from {{ cookiecutter.package_name }}.errors import UserError

from .server import FOLDER, Server

SCRIPT = Path(__file__).with_name("load.js")
WATCH_SECONDS = 0.25  # between looks at the server's memory
MAX_CLIENTS = 3000  # at a time; what would need more is not sent, and is reported


@dataclass(frozen=True)
class Load:
    """What a number of clients saw who each sent a request as soon as the last was answered."""

    p50: float  # milliseconds, of answers 200
    p99: float
    rate: float  # answers 200 a second
    errors: int  # all that was not 200

    def __str__(self) -> str:
        text = f"{self.rate:.1f} a second, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"
        return f"{text}, {self.errors} errors" if self.errors else text


@dataclass(frozen=True)
class Overload:
    """What came of more requests than could be served, sent whether or not others were answered."""

    times: float  # the rate offered, as a multiple of the capacity
    seconds: float
    ok: int  # answers 200
    refused: int  # answers 503
    other: int  # other answers, or none
    p99: float  # milliseconds, of answers 200
    recovery: float  # seconds from the end of the load to the next 200
    recovery_attempts: int


class LoadGenerator:
    """k6, with request bodies that every server gets."""

    def __init__(self, k6: Path, bodies: list[str]) -> None:
        self._k6, self._count = k6, len(bodies)
        self._folder, self._result = FOLDER / "bodies", FOLDER / "k6.json"
        self._log = FOLDER / "k6.log"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for number, body in enumerate(bodies):
            (self._folder / f"{number}.json").write_text(body, encoding="utf-8")

    def closed(self, server: Server, clients: int, seconds: float) -> Load:
        """Let `clients` send one request after the other for some seconds."""
        scenario = {"executor": "constant-vus", "vus": clients, "duration": f"{seconds}s"}
        summary = self._run(server, {"load": scenario}, clients)
        times = summary.values("milliseconds_200")
        return Load(
            p50=times["med"],
            p99=times["p(99)"],
            rate=1000 * summary.count("status_200") / summary.milliseconds,
            errors=summary.count("status_503") + summary.count("status_other"),
        )

    def overload(self, server: Server, capacity: float, times: int, seconds: float) -> Overload:
        """Send several times as many requests a second as the server can answer."""
        load = {
            "executor": "constant-arrival-rate",
            "rate": round(times * capacity),
            "duration": f"{seconds}s",
            "preAllocatedVUs": MAX_CLIENTS,
            "maxVUs": MAX_CLIENTS,
        }
        after = {"executor": "shared-iterations", "exec": "recover", "startTime": f"{seconds}s"}
        summary = self._run(server, {"load": load, "after": after}, MAX_CLIENTS)
        ok, refused, other = (summary.count(f"status_{s}") for s in ("200", "503", "other"))
        return Overload(
            times=(ok + refused + other) / seconds / capacity,
            seconds=seconds,
            ok=ok,
            refused=refused,
            other=other,
            p99=summary.values("milliseconds_200")["p(99)"] / 1000,
            recovery=summary.values("recovery_milliseconds")["max"] / 1000,
            recovery_attempts=summary.count("recovery_attempts"),
        )

    def _run(self, server: Server, scenarios: Mapping[str, Any], clients: int) -> "Summary":
        options = {
            "scenarios": scenarios,
            "summaryTrendStats": ["med", "p(99)", "max"],
            "discardResponseBodies": True,
        }
        variables = {
            "URL": server.url,
            "BODIES": str(self._folder.resolve()),
            "COUNT": str(self._count),
            "SHARES": str(min(clients, self._count)),
            "RESULT": str(self._result.resolve()),
            "OPTIONS": json.dumps(options),
            "K6_NO_USAGE_REPORT": "true",
        }
        # Without an address it has no API of its own, and so needs no port.
        command = [str(self._k6), "run", "--quiet", "--no-color", "--address", "", str(SCRIPT)]
        with self._log.open("wb") as log:
            k6 = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)
        try:
            while k6.poll() is None:
                server.watch()
                with suppress(subprocess.TimeoutExpired):
                    k6.wait(WATCH_SECONDS)
        finally:
            k6.kill()
            k6.wait()
        if k6.returncode:
            line = next(iter(self._log.read_text(encoding="utf-8").splitlines()), "")
            raise UserError(f"k6 failed: {line:.300} (see {self._log})")
        return Summary(server.name, json.loads(self._result.read_text(encoding="utf-8")))


class Summary:
    """What k6 wrote at its end."""

    def __init__(self, server: str, content: dict[str, Any]) -> None:
        self.milliseconds: float = content["state"]["testRunDurationMs"]
        self._metrics = content["metrics"]
        self._server = server

    def values(self, name: str) -> dict[str, float]:
        """Return the statistics of a metric, or raise `UserError` if nothing was measured."""
        if name not in self._metrics:
            raise UserError(f"{self._server}: no {name}, it did not answer; see {FOLDER}/*.log")
        return self._metrics[name]["values"]

    def count(self, name: str) -> int:
        """Return how often something happened."""
        return int(self._metrics.get(name, {"values": {"count": 0}})["values"]["count"])
