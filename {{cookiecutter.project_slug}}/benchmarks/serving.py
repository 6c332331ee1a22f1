"""The serving benchmark: this API against its rivals, same model, same machine, one run.

A small machine is noisy, so what is compared is measured in turns: all servers are up, those not
being measured are suspended, and a ratio is that of one round; the median round counts.
"""

import signal
import statistics
import sys
from contextlib import ExitStack
from typing import Any

import numpy as np

from {{ cookiecutter.package_name }} import artifacts, config
from {{ cookiecutter.package_name }}.errors import UserError

from . import environment, results, rivals, shutdown
from .load import Load, LoadGenerator
from .server import Server

OURS = "this API"
ABOUT = "`serve`, as it is"
PACKAGE = artifacts.__package__
ROUNDS = 3
SECONDS = 5  # of each load
CLIENTS = (1, 8, 64)
OVERLOAD = 10  # times what it can serve
OVERLOAD_SECONDS = 30
COMPARED = 20  # answers compared before anything is measured


def run(
    params: Any,
    overrides: list[str],
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    overload_seconds: float = OVERLOAD_SECONDS,
) -> None:
    """Measure and write `reports/bench.json` and `reports/bench.md`; takes about six minutes."""
    # A killed benchmark must not leave suspended servers behind: leave through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    manifest = artifacts.read_manifest(artifacts.MODELS, made_by="train")
    bodies = rivals.bodies()
    command = [sys.executable, "-m", PACKAGE, "serve"]
    settings: dict[str, Any] = {"path": rivals.PATH, "variables": config.as_environment(overrides)}
    ours = Server(OURS, ABOUT, command, **settings)
    others = rivals.rivals(params, environment.PYTHON)
    servers = [ours, *(Server(**rival._asdict(), **settings) for rival in others)]
    environment.install()
    load = LoadGenerator(environment.BIN / "k6", bodies)

    cold_starts = {}
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            cold_starts[server.name] = measure_cold_start(server, bodies[0], rounds)
        compare(servers, bodies[:COMPARED], rivals.TOLERANCE[manifest["precision"]])
        loads = measure(servers, load, rounds, seconds)
        print(f"{OURS}: overload for {overload_seconds:.0f} s", flush=True)
        capacity = statistics.median(one.rate for one in loads[OURS][max(CLIENTS)])
        with ours.awake():
            overload = load.overload(ours, capacity, OVERLOAD, overload_seconds)
    stops = shutdown.measure(ours, bodies, rounds)
    measured = results.Measured(servers, cold_starts, loads, overload, stops)
    figures = rivals.figures(measured, params) if hasattr(rivals, "figures") else []
    results.write(measured, rivals.GOALS, manifest, figures)


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


def compare(servers: list[Server], bodies: list[str], tolerance: float) -> None:
    """Raise `UserError` unless all servers of a folder answer alike: they serve the same model.

    One that has another method answers other things; it only has to answer the same questions.
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
        most = found.max(initial=0)  # not a number if one is not
        if not most <= tolerance:
            raise UserError(f"{server.name}: not the same model, an answer differs by {most:.2g}")
        alike = f"answers differ from {servers[first].name}'s by {most:.1g} at most"
        print(f"{server.name}: {alike if len(found) else 'another method, the same questions'}")


def measure(
    servers: list[Server], load: LoadGenerator, rounds: int, seconds: float
) -> dict[str, dict[int, list[Load]]]:
    """Return the loads of each round, by server and number of clients."""
    loads: dict[str, dict[int, list[Load]]] = {
        server.name: {clients: [] for clients in CLIENTS} for server in servers
    }
    for number in range(rounds):
        # Each goes first once: a machine may slow down while it is warm.
        first = number % len(servers)
        for clients in CLIENTS:
            for server in [*servers[first:], *servers[:first]]:
                with server.awake():
                    one = load.closed(server, clients, seconds)
                loads[server.name][clients].append(one)
                print(f"round {number + 1}, {clients:2} clients, {server.name}: {one}", flush=True)
    return loads
