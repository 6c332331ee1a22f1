"""What becomes of requests when the server gets SIGTERM while clients keep sending.

A request counts as lost if its connection was accepted and no complete answer came. A new
connection loses nothing: its client can go elsewhere.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..deploy.smoke_test import headers
from .server import Server

CLIENTS = 32
LOAD_SECONDS = (1.0, 2.0)  # before the signal, at a random moment
KINDS = {"keep-alive": b"", "one connection per request": b"Connection: close\r\n"}
GIVE_UP_SECONDS = 60


@dataclass(frozen=True)
class Stop:
    """What clients of one kind saw in all rounds together."""

    clients: str
    answered: dict[str, int]  # by status
    lost: int
    seconds: float  # from the signal to the end of the process, the most


def measure(server: Server, bodies: list[str], rounds: int) -> list[Stop]:
    """Start the server, load it and stop it, several times per kind of client."""
    stops = []
    for kind, header in KINDS.items():
        counts: Counter[str] = Counter()
        slowest = 0.0
        for _ in range(rounds):
            try:
                server.start(bodies[0])
                seconds = asyncio.run(stop_under_load(server, bodies, header, counts))
                slowest = max(slowest, seconds)
            finally:
                server.stop()
        print(f"{server.name}, SIGTERM, clients with {kind}: {dict(counts)}", flush=True)
        lost = counts.pop("lost", 0)
        stops.append(Stop(kind, dict(counts), lost, slowest))
    return stops


async def stop_under_load(
    server: Server, bodies: list[str], header: bytes, counts: Counter[str]
) -> float:
    """Return the seconds that the server takes to stop; count the outcomes of the requests."""
    turn = itertools.cycle(bodies)
    clients = [asyncio.create_task(client(server, turn, header, counts)) for _ in range(CLIENTS)]
    await asyncio.sleep(random.uniform(*LOAD_SECONDS))
    start = time.perf_counter()
    await asyncio.to_thread(server.stop)
    seconds = time.perf_counter() - start
    await asyncio.wait_for(asyncio.gather(*clients), GIVE_UP_SECONDS)
    return seconds


async def client(
    server: Server, bodies: Iterator[str], header: bytes, counts: Counter[str]
) -> None:
    """Send requests until the server takes no more connections; count statuses and losses."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            return
        try:
            stays_open = True
            while stays_open:
                status, stays_open = await ask(reader, writer, server.path, next(bodies), header)
                counts[status] += 1
        except (OSError, asyncio.IncompleteReadError):
            counts["lost"] += 1
        finally:
            writer.close()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: str, header: bytes
) -> tuple[str, bool]:
    """Return the status of the whole answer, and whether its connection stays open."""
    content = body.encode()
    known = "".join(f"{name}: {value}\r\n" for name, value in headers().items()).encode()
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%sContent-Length: %d\r\n\r\n%s"
        % (path.encode(), known, header, len(content), content)
    )
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
    return head.split()[1], "connection: close" not in head
