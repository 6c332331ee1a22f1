"""The serving benchmark: this API against its rivals, same model, same machine, one run.

A small machine is noisy, so what is compared is measured in turns: all servers are up, those not
being measured are suspended, a ratio is taken within a round, and the median round counts.
"""

import signal
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .. import artifacts, config
from ..errors import UserError
from ..project import Project
from . import environment, load, results, shutdown
from .load import Load
from .rivals import Rival, Rivals
from .server import Server

OURS = "this API"
ROUNDS = 3
SECONDS = 5  # of each load
CLIENTS = (1, 8, 64)
OVERLOAD = 10  # times the capacity
OVERLOAD_SECONDS = 30
COMPARED = 20  # answers compared before anything is measured


def bench(
    project: Project,
    params: Any,
    overrides: list[str],
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    overload_seconds: float = OVERLOAD_SECONDS,
) -> None:
    """Measure and write `reports/bench.json` and `reports/bench.md`; takes about six minutes."""
    # A killed benchmark must not leave suspended servers behind: exit through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if not Path("benchmarks/rivals.py").is_file():
        raise UserError("benchmarks/rivals.py: not found; run this in the project's folder")
    sys.path.insert(0, str(Path.cwd()))
    rivals = project.rivals()
    kind = project.reporting().manifest
    manifest = artifacts.read_manifest(artifacts.MODELS, kind, made_by="train")
    variables = config.as_environment(project.package, overrides)
    bodies = rivals.bodies()
    ours = Rival(OURS, "`serve`, as it is", [sys.executable, "-m", project.package, "serve"])
    everyone = [ours, *rivals.others(params, environment.PYTHON)]
    servers = [Server(one, rivals.path, variables) for one in everyone]
    environment.install()
    load.prepare(bodies)

    cold_starts = {}
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            cold_starts[server.name] = measure_cold_start(server, bodies[0], rounds)
        compare(servers, bodies[:COMPARED], rivals, manifest.precision)
        loads = measure(servers, rounds, seconds)
        print(f"{OURS}: overload for {overload_seconds:.0f} s", flush=True)
        capacity = statistics.median(one.rate for one in loads[OURS][max(CLIENTS)])
        with servers[0].awake():
            overload = load.overload(servers[0], capacity, OVERLOAD, overload_seconds)
    stops = shutdown.measure(servers[0], bodies, rounds)
    measured = results.Measured(servers, cold_starts, loads, overload, stops)
    results.write(measured, rivals.goals, manifest, rivals.figures(measured, params))


def measure_cold_start(server: Server, body: str, rounds: int) -> float:
    """Return the median seconds to the first answer; leave the server up, but suspended."""
    seconds = []
    for _ in range(rounds):
        server.stop()
        seconds.append(server.start(body))
    server.suspend()
    median = statistics.median(seconds)
    print(f"{server.name}: first answer after {median:.1f} s", flush=True)
    return median


def compare(servers: list[Server], bodies: list[str], rivals: Rivals, precision: str) -> None:
    """Raise `UserError` unless all servers of a folder serve the same model.

    One that uses another method gives other answers; it only has to answer the same questions.
    """
    answers = []
    for server in servers:
        with server.awake():
            answers.append([server.ask(body) for body in bodies])
    folders = [server.folder for server in servers]
    for server, theirs in zip(servers, answers, strict=True):
        first = folders.index(server.folder)
        if server is servers[first]:
            continue
        differences = map(rivals.difference, answers[first], theirs)
        found = np.array([one for one in differences if one is not None])
        most = found.max(initial=0)  # NaN if one is
        if not most <= rivals.tolerance[precision]:
            raise UserError(f"{server.name}: not the same model, an answer differs by {most:.2g}")
        alike = f"answers differ from {servers[first].name}'s by {most:.1g} at most"
        print(f"{server.name}: {alike if len(found) else 'another method, the same questions'}")


def measure(servers: list[Server], rounds: int, seconds: float) -> dict[str, dict[int, list[Load]]]:
    """Return the loads of each round, by server and number of clients."""
    loads: dict[str, dict[int, list[Load]]] = {
        server.name: {clients: [] for clients in CLIENTS} for server in servers
    }
    for number in range(rounds):
        # The order rotates: a machine may slow down while it is warm.
        first = number % len(servers)
        for clients in CLIENTS:
            for server in [*servers[first:], *servers[:first]]:
                with server.awake():
                    one = load.closed(server, clients, seconds)
                loads[server.name][clients].append(one)
                print(f"round {number + 1}, {clients:2} clients, {server.name}: {one}", flush=True)
    return loads
