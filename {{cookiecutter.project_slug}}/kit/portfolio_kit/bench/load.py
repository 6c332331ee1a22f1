"""Runs the load generator k6 and reads its measurements; `load.js` is what its clients do."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..deploy.smoke_test import headers
from ..errors import UserError
from .environment import BIN, FOLDER
from .server import Server

SCRIPT = Path(__file__).with_name("load.js")
BODIES, RESULT, LOG = FOLDER / "bodies", FOLDER / "k6.json", FOLDER / "k6.log"
WATCH_SECONDS = 0.25  # between looks at the server's memory
MAX_CLIENTS = 3000  # at a time; requests that would need more are not sent, and reported


@dataclass(frozen=True)
class Load:
    """What clients saw that each sent a request as soon as the last was answered."""

    p50: float  # milliseconds, of answers 200
    p99: float
    rate: float  # answers 200 per second
    errors: int  # everything else

    def __str__(self) -> str:
        text = f"{self.rate:.1f} per second, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"
        return f"{text}, {self.errors} errors" if self.errors else text


@dataclass(frozen=True)
class Overload:
    """What came of more requests than could be served, sent whether or not others were answered."""

    times: float  # the rate offered, as a multiple of the capacity
    seconds: float
    ok: int  # answers 200
    rejected: int  # answers 503
    other: int  # other answers, or none
    p99: float  # seconds, of answers 200
    recovery: float  # seconds from the end of the load to the next 200
    recovery_attempts: int


def prepare(bodies: list[str]) -> None:
    """Write down the request bodies, which are the same for every server."""
    shutil.rmtree(BODIES, ignore_errors=True)
    BODIES.mkdir()
    for number, body in enumerate(bodies):
        (BODIES / f"{number}.json").write_text(body, encoding="utf-8")


def closed(server: Server, clients: int, seconds: float) -> Load:
    """Let `clients` send one request after the other for some seconds."""
    scenario = {"executor": "constant-vus", "vus": clients, "duration": f"{seconds}s"}
    summary = _run(server, {"load": scenario}, clients)
    times = summary.values("milliseconds_200")
    return Load(
        p50=times["med"],
        p99=times["p(99)"],
        rate=1000 * summary.count("status_200") / summary.milliseconds,
        errors=summary.count("status_503") + summary.count("status_other"),
    )


def overload(server: Server, capacity: float, times: int, seconds: float) -> Overload:
    """Send several times as many requests per second as the server can answer."""
    load = {
        "executor": "constant-arrival-rate",
        "rate": round(times * capacity),
        "duration": f"{seconds}s",
        "preAllocatedVUs": MAX_CLIENTS,
        "maxVUs": MAX_CLIENTS,
    }
    after = {"executor": "shared-iterations", "exec": "recover", "startTime": f"{seconds}s"}
    summary = _run(server, {"load": load, "after": after}, MAX_CLIENTS)
    ok, rejected, other = (summary.count(f"status_{s}") for s in ("200", "503", "other"))
    return Overload(
        times=(ok + rejected + other) / seconds / capacity,
        seconds=seconds,
        ok=ok,
        rejected=rejected,
        other=other,
        p99=summary.values("milliseconds_200")["p(99)"] / 1000,
        recovery=summary.values("recovery_milliseconds")["max"] / 1000,
        recovery_attempts=summary.count("recovery_attempts"),
    )


def _run(server: Server, scenarios: Mapping[str, Any], clients: int) -> "Summary":
    count = len(list(BODIES.iterdir()))
    options = {
        "scenarios": scenarios,
        "summaryTrendStats": ["med", "p(99)", "max"],
        "discardResponseBodies": True,
    }
    variables = {
        "URL": server.url,
        "BODIES": str(BODIES.resolve()),
        "COUNT": str(count),
        "SHARES": str(min(clients, count)),
        "RESULT": str(RESULT.resolve()),
        "HEADERS": json.dumps(headers()),
        "OPTIONS": json.dumps(options),
        "K6_NO_USAGE_REPORT": "true",
    }
    # Without an address k6 does not serve its own API.
    command = [str(BIN / "k6"), "run", "--quiet", "--no-color", "--address", "", str(SCRIPT)]
    with LOG.open("wb") as log:
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
        line = next(iter(LOG.read_text(encoding="utf-8").splitlines()), "")
        raise UserError(f"k6 failed: {line:.300} (see {LOG})")
    return Summary(server.name, json.loads(RESULT.read_text(encoding="utf-8")))


class Summary:
    """What k6 wrote at its end."""

    def __init__(self, server: str, content: dict[str, Any]) -> None:
        self.milliseconds: float = content["state"]["testRunDurationMs"]
        self._metrics = content["metrics"]
        self._server = server

    def values(self, name: str) -> dict[str, float]:
        """Return a metric's statistics; raises `UserError` if nothing was measured."""
        if name not in self._metrics:
            raise UserError(f"{self._server}: no {name}, it did not answer; see {FOLDER}/*.log")
        return self._metrics[name]["values"]

    def count(self, name: str) -> int:
        """Return how often something happened."""
        return int(self._metrics.get(name, {"values": {"count": 0}})["values"]["count"])
