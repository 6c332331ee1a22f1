"""Compares measurements with their targets: `reports/bench.md` and `reports/bench.json`."""

import platform
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import artifacts, cores
from ..markdown import table
from ..records import Manifest
from .load import Load, Overload
from .rivals import Figure, Goal
from .server import Server
from .shutdown import Stop

JSON, MARKDOWN = artifacts.REPORTS / "bench.json", artifacts.REPORTS / "bench.md"
MEMORY_MB = 400
OVERLOAD_P99_SECONDS = 2
RECOVERY_SECONDS = 1
METRICS = {"p50": "p50 latency", "p99": "p99 latency", "rate": "requests per second"}
UNITS = {"p50": "ms", "p99": "ms", "rate": "per second"}


@dataclass(frozen=True)
class Measured:
    """All that one run measured; the first server is this API."""

    servers: list[Server]
    cold_starts: dict[str, float]  # seconds, by server
    loads: dict[str, dict[int, list[Load]]]  # by server and number of clients, one per round
    overload: Overload
    stops: list[Stop]


def write(
    measured: Measured, goals: tuple[Goal, ...], model: Manifest, more: Iterable[Figure] = ()
) -> None:
    """Print the report and write it, once for people and once for programs."""
    figures = [*(compared(measured, goal) for goal in goals), *more, *under_stress(measured)]
    machine = f"{cores.available()} cores ({processor()}), Python {platform.python_version()}"
    content = {
        "model_version": model.version,
        "precision": model.precision,
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
    """Compare with the goal: the median, and the range, of the rounds' figures or ratios."""

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


def under_stress(measured: Measured) -> Iterator[Figure]:
    """Yield what is promised of memory, of overload and of shutdown."""
    peak, load = measured.servers[0].peak / 1e6, measured.overload
    yield Figure("memory", f"at most {MEMORY_MB} MB", f"{peak:.0f} MB", peak, peak <= MEMORY_MB)
    counts = f"{load.ok:,} × 200, {load.rejected:,} × 503, {load.other:,} other"
    name = f"answers under {load.times:.1f} times the capacity for {load.seconds:g} s"
    yield Figure(name, "200 and 503 only", counts, load.other, load.other == 0)
    limits = {
        "p99 of its answers 200": (load.p99, OVERLOAD_P99_SECONDS),
        "first answer 200 after it": (load.recovery, RECOVERY_SECONDS),
    }
    for name, (seconds, most) in limits.items():
        yield Figure(name, f"at most {most} s", f"{seconds:.2f} s", seconds, seconds <= most)
    for stop in measured.stops:
        counts = ", ".join(f"{n:,} × {status}" for status, n in sorted(stop.answered.items()))
        told = f"{stop.lost} ({counts}; stopped in {stop.seconds:.1f} s)"
        name = f"requests lost on SIGTERM, {stop.clients}"
        yield Figure(name, "0", told, stop.lost, stop.lost == 0)


def summary(measured: Measured, server: Server) -> dict[str, Any]:
    """Return one server's figures: medians of the rounds, and the sum of the errors."""
    loads = {}
    for clients, rounds in measured.loads[server.name].items():
        p50, p99, rate = (
            statistics.median(getattr(one, name) for one in rounds) for name in METRICS
        )
        errors = sum(one.errors for one in rounds)
        figures = {"p50_ms": p50, "p99_ms": p99, "requests_per_second": rate, "errors": errors}
        loads[str(clients)] = figures
    return {
        "about": server.about,
        "cold_start_seconds": measured.cold_starts[server.name],
        "memory_mb": server.peak / 1e6,
        "loads": loads,
    }


def report(content: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    promises = [
        (one["name"], one["target"], one["measured"], "met" if one["is_met"] else "MISSED")
        for one in content["figures"]
    ]
    rows = []
    for name, server in content["servers"].items():
        whole = f"{server['memory_mb']:.0f}", f"{server['cold_start_seconds']:.1f}"
        for clients, load in server["loads"].items():
            figures = (f"{load[key]:.1f}" for key in ("p50_ms", "p99_ms", "requests_per_second"))
            rows.append((name, clients, *figures, str(load["errors"]), *whole))
            name, whole = "", ("", "")
    about = [f"- {name}: {server['about']}" for name, server in content["servers"].items()]
    columns = "server|clients|p50 ms|p99 ms|requests per second|errors|memory MB|cold start s"
    parts = [
        "# Serving benchmark",
        f"Model `{content['model_version']}` ({content['precision']}) on {content['machine']}. "
        "Written by `make bench`.",
        table("promise|target|measured|", promises),
        table(columns, rows),
        "\n".join(about),
    ]
    return "\n\n".join(parts) + "\n"


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.findall(r"^model name\s*: (.+)$", text, re.MULTILINE)[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
