"""Puts what was measured beside its targets: `reports/bench.md` and `reports/bench.json`."""

import math
import platform
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from {{ cookiecutter.package_name }} import artifacts, cores

from .load import Load, Overload
from .server import Server
from .shutdown import Stop

JSON, MARKDOWN = artifacts.REPORTS / "bench.json", artifacts.REPORTS / "bench.md"
MEMORY_MB = 400
OVERLOAD_P99_SECONDS = 2
RECOVERY_SECONDS = 1
METRICS = {"p50": "p50 latency", "p99": "p99 latency", "rate": "requests a second"}
UNITS = {"p50": "ms", "p99": "ms", "rate": "a second"}


@dataclass(frozen=True)
class Goal:
    """How one of this API's figures should compare with a rival's, as a ratio, or be by itself."""

    metric: str  # of METRICS
    clients: int
    rival: str | None  # None: the figure itself, in its unit
    at_least: float = 0
    at_most: float = math.inf
    server: str | None = None  # whose figure counts; None: this API's


@dataclass(frozen=True)
class Figure:
    """One promise: what was measured beside its target."""

    name: str
    target: str
    measured: str
    value: float
    is_met: bool


@dataclass(frozen=True)
class Measured:
    """All that one run measured; the first server is this API."""

    servers: list[Server]
    cold_starts: dict[str, float]  # seconds, by server
    loads: dict[str, dict[int, list[Load]]]  # by server and number of clients, one a round
    overload: Overload
    stops: list[Stop]


def write(
    measured: Measured, goals: tuple[Goal, ...], model: dict[str, Any], more: Iterable[Figure] = ()
) -> None:
    """Print the report and write it, once for people and once for programs."""
    figures = [
        *(compared(measured, goal) for goal in goals),
        *more,
        memory(measured.servers[0]),
        *under_overload(measured.overload),
        *(when_stopped(stop) for stop in measured.stops),
    ]
    machine = f"{cores.available()} cores ({processor()}), Python {platform.python_version()}"
    content = {
        "model_version": model["version"],
        "precision": model["precision"],
        "machine": machine,
        "servers": {server.name: summary(measured, server) for server in measured.servers},
        "overload": asdict(measured.overload),
        "stops": [asdict(stop) for stop in measured.stops],
        "figures": [asdict(figure) for figure in figures],
    }
    text = report(content)
    artifacts.write_json(JSON, content)
    artifacts.write_text(MARKDOWN, text)
    print(f"\n{text}\nwrote {MARKDOWN} and {JSON}")


def compared(measured: Measured, goal: Goal) -> Figure:
    """Compare with the goal: the median, and the range, of each round's figure, or ratio of two."""

    def rounds(name: str) -> list[float]:
        return [getattr(load, goal.metric) for load in measured.loads[name][goal.clients]]

    values, unit, against = rounds(goal.server or measured.servers[0].name), UNITS[goal.metric], ""
    if goal.rival:
        values = [one / other for one, other in zip(values, rounds(goal.rival), strict=True)]
        unit, against = "times", f", against {goal.rival}"
    median = statistics.median(values)
    target = f"at least {goal.at_least:g}" if goal.at_least else f"at most {goal.at_most:g}"
    clients = f"{goal.clients} client{'s' * (goal.clients > 1)}"
    if goal.server:
        clients = f"{clients}, {goal.server}"
    return Figure(
        f"{METRICS[goal.metric]} at {clients}{against}",
        f"{target} {unit}",
        f"{median:.2f} {unit} ({min(values):.2f} to {max(values):.2f})",
        median,
        goal.at_least <= median <= goal.at_most,
    )


def memory(server: Server) -> Figure:
    """Compare the most memory that this API took, overload included, with its target."""
    megabytes = server.peak / 1e6
    met = megabytes <= MEMORY_MB
    return Figure("memory", f"at most {MEMORY_MB} MB", f"{megabytes:.0f} MB", megabytes, met)


def under_overload(load: Overload) -> Iterator[Figure]:
    """Yield what is promised for more requests than can be served."""
    name = f"overload, {load.times:.1f} times the capacity for {load.seconds:g} s"
    counts = f"{load.ok:,} × 200, {load.refused:,} × 503, {load.other:,} other"
    yield Figure(f"{name}: answers", "200 and 503 only", counts, load.other, load.other == 0)
    yield Figure(
        "p99 of its answers 200",
        f"under {OVERLOAD_P99_SECONDS} s",
        f"{load.p99:.2f} s",
        load.p99,
        load.p99 < OVERLOAD_P99_SECONDS,
    )
    yield Figure(
        "first answer 200 after it",
        f"within {RECOVERY_SECONDS} s",
        f"after {load.recovery:.2f} s, to request {load.recovery_attempts}",
        load.recovery,
        load.recovery <= RECOVERY_SECONDS,
    )


def when_stopped(stop: Stop) -> Figure:
    """Say how many requests were lost when the server was told to stop."""
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(stop.answered.items()))
    return Figure(
        f"requests lost on SIGTERM, {stop.clients}",
        "0",
        f"{stop.lost} ({answers}; ended in {stop.seconds:.1f} s)",
        stop.lost,
        stop.lost == 0,
    )


def summary(measured: Measured, server: Server) -> dict[str, Any]:
    """Return one server's figures: medians of the rounds, and the sum of the errors."""
    loads = {}
    for clients, rounds in measured.loads[server.name].items():
        medians = {
            name: statistics.median(getattr(one, name) for one in rounds) for name in METRICS
        }
        loads[str(clients)] = {
            "p50_ms": medians["p50"],
            "p99_ms": medians["p99"],
            "requests_per_second": medians["rate"],
            "errors": sum(one.errors for one in rounds),
        }
    return {
        "about": server.about,
        "cold_start_seconds": measured.cold_starts[server.name],
        "memory_mb": server.peak / 1e6,
        "loads": loads,
    }


def report(content: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = [
        "# Serving benchmark",
        "",
        f"Model `{content['model_version']}` ({content['precision']}) on {content['machine']}. "
        "Written by `make bench`; how it measures stands in `benchmarks/`.",
        "",
        "| | target | measured | |",
        "|---|---|---|---|",
    ]
    for figure in content["figures"]:
        met = "met" if figure["is_met"] else "**missed**"
        lines.append(f"| {figure['name']} | {figure['target']} | {figure['measured']} | {met} |")
    lines += [
        "",
        "| | clients | p50 ms | p99 ms | requests a second | errors | memory MB | cold start s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, server in content["servers"].items():
        whole = f"{server['memory_mb']:.0f} | {server['cold_start_seconds']:.1f}"
        for clients, load in server["loads"].items():
            lines.append(
                f"| {name} | {clients} | {load['p50_ms']:.1f} | {load['p99_ms']:.1f} "
                f"| {load['requests_per_second']:.1f} | {load['errors']} | {whole} |"
            )
            name, whole = "", " | "
    lines += ["", *(f"- {name}: {server['about']}" for name, server in content["servers"].items())]
    return "\n".join(lines) + "\n"


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.findall(r"^model name\s*: (.+)$", text, re.MULTILINE)[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
