"""Measures a service under hostile clients: python scripts/hostile_clients.py PROJECT [SECONDS].

The project is trained and set up, such as `make demo` leaves it. 1,000 clients at once never read
their answers, never finish their requests, or just hold connections, and come back when they are
let go. Next to them eight ordinary clients ask the example question and load a file.
DESCRIPTORS=256 limits the server's descriptors. IMAGE=NAME, as `make image` builds it, runs in a
container with 512 MB of memory and no swap. Linux only; exits with 1 if a target is missed.
"""

import asyncio
import itertools
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

HOSTILE, ORDINARY = 1_000, 8
SMALL = 4_096  # bytes of a hostile client's receive buffer
PAUSE = 0.05  # seconds between an ordinary client's requests
PATIENCE = 10  # seconds until an ordinary client gives up


def main(folder: str, seconds: str = "60") -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    project, descriptors = Path(folder), os.environ.get("DESCRIPTORS")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    [package] = (path.parent.name for path in project.glob("src/*/__main__.py"))
    variables = {f"{package.upper()}_SERVE__LOG__FOLDER": "null", "PORT": str(port)}
    served = local(project, package, variables, descriptors)
    if image := os.environ.get("IMAGE"):
        served = contained(image, variables)
    with served as pid:
        asyncio.run(Siege(project, port, pid, bool(descriptors)).run(float(seconds)))


@contextmanager
def local(
    project: Path, package: str, variables: dict[str, str], descriptors: str | None
) -> Iterator[int]:
    """Serve from the project's folder; yield the process id."""
    limit = f"ulimit -n {int(descriptors)}; " if descriptors else ""
    server = subprocess.Popen(
        ["sh", "-c", f"{limit}exec .venv/bin/python -m {package} serve"],
        cwd=project,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=60)


@contextmanager
def contained(image: str, variables: dict[str, str]) -> Iterator[int]:
    """Serve in a container of the host's network; yield the process id; exit if it was killed."""
    memory = ["--memory=512m", "--memory-swap=512m"]
    given = [f"--env={name}={value}" for name, value in {**variables, "HOST": "127.0.0.1"}.items()]
    name = docker("run", "--detach", "--network=host", *memory, *given, image)
    try:
        yield int(docker("inspect", "--format={{.State.Pid}}", name))
        state = docker("inspect", "--format={{.State.Running}} {{.State.OOMKilled}}", name)
        print(f"running, out of memory: {state} (target true false)")
        if state != "true false":
            sys.exit(1)
    finally:
        docker("rm", "--force", name)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Siege:
    """The clients of one server, and what they saw."""

    def __init__(self, project: Path, port: int, pid: int, is_crowded: bool) -> None:
        self.port, self.is_crowded, self.process = port, is_crowded, Path(f"/proc/{pid}")
        example = json.loads((project / "scripts/example_request.json").read_text("utf-8"))
        body = json.dumps(example["body"]).encode()
        self.question = post(example["path"], body)
        self.endless = post(example["path"], b"x" * 990_000, promised=999_000)
        self.slow = post(example["path"], b"{", promised=1_000)
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.asked = itertools.cycle(
            [self.question, b"GET /static/page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]
        )
        self.held = self.descriptors = 0

    async def run(self, seconds: float) -> None:
        await asyncio.to_thread(wait_until_ready, self.port)
        memory = self.memory("VmRSS")
        file = largest_asset(self.port)
        greedy = f"GET {file} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 50
        many = b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 7_000
        # Kinds of clients, with what they go on sending every second.
        kinds = [
            (greedy, b""),
            (self.question * 50, b""),
            (greedy + self.endless, b""),
            (self.endless, b""),
            (self.slow, b" "),
            (many, b"a:\r\n"),
            (b"", b""),
            (b"G", b""),
        ]
        ends = time.monotonic() + seconds
        clients = [self.besiege(*kind) for kind, _ in zip(itertools.cycle(kinds), range(HOSTILE))]
        tasks = [asyncio.create_task(client) for client in clients]
        ordinary = [asyncio.create_task(self.go_on_asking(ends)) for _ in range(ORDINARY)]
        while time.monotonic() < ends:
            await asyncio.sleep(0.25)
            self.descriptors = max(self.descriptors, len(list((self.process / "fd").iterdir())))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*ordinary)
        self.report(memory, await asyncio.to_thread(failures, self.port))

    async def besiege(self, start: bytes, further: bytes) -> None:
        """Connect, send, never read, and begin again when the server ends it."""
        loop = asyncio.get_running_loop()
        while True:
            sending = None
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
                client.setblocking(False)
                try:
                    await loop.sock_connect(client, ("127.0.0.1", self.port))
                    self.held += 1
                    sending = asyncio.create_task(loop.sock_sendall(client, start))
                    while not is_over(client):
                        await asyncio.sleep(1)
                        if sending.done():
                            sending.result()
                            client.send(further)
                except OSError:
                    pass  # cut off, or unable to send more
                finally:
                    if sending:
                        sending.cancel()
            await asyncio.sleep(0.2)

    async def go_on_asking(self, ends: float) -> None:
        while time.monotonic() < ends:
            await self.ask()
            await asyncio.sleep(PAUSE)

    async def ask(self) -> None:
        """Ask over a new connection, and note what came of it."""
        start, status, writer = time.monotonic(), "no answer", None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(next(self.asked))
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
                status = head.split()[1].decode()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            if writer:
                writer.close()
        self.answers[status] += 1
        self.seconds.append(time.monotonic() - start)

    def memory(self, key: str) -> float:
        return int(re.search(rf"{key}:\s+(\d+)", (self.process / "status").read_text())[1]) / 1_000

    def report(self, before: float, errors: int) -> None:
        p50, p99 = (statistics.quantiles(self.seconds, n=100)[place] for place in (49, 98))
        share = self.answers["200"] / sum(self.answers.values())
        peak = self.memory("VmHWM")
        print(f"{HOSTILE} hostile clients, {self.held} connections of theirs")
        print(f"ordinary clients: {dict(self.answers)}, {share:.1%} answered with 200")
        print(f"p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms (target p99 1,000 ms)")
        print(f"answers of 500: {errors} (target 0)")
        print(f"memory: {before:.0f} MB before, {peak:.0f} MB at most (target 400 MB)")
        print(f"descriptors: {self.descriptors} at most")
        is_slow = p99 > 1 or (not self.is_crowded and self.answers["no answer"])
        if errors or peak > 400 or is_slow:
            sys.exit(1)


def post(path: str, body: bytes, promised: int | None = None) -> bytes:
    """Return a request; its head may promise a longer body than it has."""
    size = len(body) if promised is None else promised
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + body


def largest_asset(port: int) -> str:
    """Return the path of the largest file that the documentation's page loads."""
    names = re.findall(r"""(?:src|href)=["']([^"':]+)["']""", get(port, "/docs").decode())
    return max((urljoin("/docs", name) for name in names), key=lambda path: len(get(port, path)))


def wait_until_ready(port: int) -> None:
    while True:
        try:
            get(port, "/ready")
            return
        except OSError:
            time.sleep(0.05)


def failures(port: int) -> int:
    """Return to how many requests of all clients the server answered 500."""
    while True:
        try:
            text = get(port, "/metrics").decode()
        except OSError:  # hostile clients are still being let go
            time.sleep(0.2)
            continue
        counts = re.findall(r'^http_requests_total\{.*status="500"\} (\S+)', text, re.MULTILINE)
        return int(sum(map(float, counts)))


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return answer.read()


def is_over(client: socket.socket) -> bool:
    """Return whether the server has ended the connection, as far as shows without reading."""
    # An error, or the state of the connection: 1 is ESTABLISHED.
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1 or client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


if __name__ == "__main__":
    main(*sys.argv[1:])
