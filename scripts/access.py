"""What keys, limits and headers cost and keep out: python scripts/access.py PROJECT.

PROJECT is a trained project with its `.venv`. Prints the CPU time per request that they add, and
for a project whose documents can be changed, what became of hostile requests to the routes that
change them. Exits with 1 if a figure misses its target.
"""

import asyncio
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

ROUNDS, REQUESTS = 100, 40  # with and without in turn, and in each
MOST_ADDED = 0.03  # of a request's CPU time
HOSTILE = 10_000  # requests to each route
TOGETHER = 16
KEYS = {"reader": ("read", "r" * 43), "writer": ("write", "w" * 43)}
START_SECONDS = 60
# The same program, where a signal switches what is measured off, and on again: two processes of
# the same program differ by more.
SWITCHED = """
import runpy, signal, sys
from portfolio_kit.serving import access, secure

on = access.Guard.check, secure.Secure.__call__

def check(self, scope, is_operator):
    return None, None

async def call(self, scope, receive, send):
    await self._app(scope, receive, send)

def switch(*_):
    is_on = access.Guard.check is on[0]
    access.Guard.check, secure.Secure.__call__ = (check, call) if is_on else on

signal.signal(signal.SIGUSR1, switch)
sys.argv = sys.argv[1:] + ["serve"]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def main() -> None:
    project = Path(sys.argv[1]).resolve()
    package = next(project.glob("src/*/__main__.py")).parent.name
    is_good = cost(project, package)
    if (project / "kit/portfolio_kit/retrieval/api.py").exists():
        is_good &= hostile(project, package)
    sys.exit(not is_good)


@contextmanager
def serving(project, package, command, **variables):
    """Run the API in a project's folder; yield the process, with its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    own = {f"{package}_{name}".upper(): value for name, value in variables.items()}
    process = subprocess.Popen(
        [project / ".venv/bin/python", *command],
        cwd=project,
        env={**os.environ, "HOST": "127.0.0.1", "PORT": str(port), **own},
        stdout=subprocess.DEVNULL,
    )
    process.port = port
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("error: the API did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def is_ready(port):
    try:
        return ask(http.client.HTTPConnection("127.0.0.1", port), "GET", "/ready")[0] == 200
    except OSError:
        return False


def ask(connection, method, path, body=None, key=None):
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def entries():
    hashed = ((name, role, hashlib.sha256(key.encode())) for name, (role, key) in KEYS.items())
    return ",".join(f"{name}:{role}:{digest.hexdigest()}" for name, role, digest in hashed)


def cost(project, package):
    """Print the CPU time per request with keys, limits and headers, and without, in turns."""
    example = json.loads((project / "scripts/example_request.json").read_text(encoding="utf-8"))
    body, key = json.dumps(example["body"]), KEYS["writer"][1]
    variables = {"serve__log__folder": "null", "serve__rate_limit": "1000000/second"}
    seconds = ([], [])
    serve = ["-c", SWITCHED, package]
    with serving(project, package, serve, api_keys=entries(), **variables) as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port)
        is_on = True
        for _ in range(2 * ROUNDS + 4):  # the first ones warm up
            before = cpu_seconds(process.pid)
            for _ in range(REQUESTS):
                status, answer = ask(connection, "POST", example["path"], body, key)
                assert status == 200, answer
            seconds[is_on].append((cpu_seconds(process.pid) - before) / REQUESTS)
            status, _ = ask(connection, "POST", example["path"], body)
            assert status == (401 if is_on else 200)
            process.send_signal(signal.SIGUSR1)
            is_on = not is_on
    without, with_them = (1000 * statistics.median(one[2:]) for one in seconds)
    added = with_them / without - 1
    is_met = added <= MOST_ADDED
    print(
        f"CPU per request: {with_them:.3f} ms with keys, a limit and headers, {without:.3f} ms "
        f"without: {added:+.1%} (at most {MOST_ADDED:.0%}): {'met' if is_met else 'MISSED'}",
        flush=True,
    )
    return is_met


def cpu_seconds(pid):
    """Return the CPU time of a process's threads, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


def hostile(project, package):
    """Send hostile requests to each route that writes; print their statuses and what changed."""
    with tempfile.TemporaryDirectory() as folder:
        changes = json.dumps(str(Path(folder) / "changes.sqlite"))
        variables = {"serve__log__folder": "null", "serve__changes": changes}
        serve = ["-m", package, "serve"]
        with serving(project, package, serve, api_keys=entries(), **variables) as process:
            return all(
                attack(process.port, route, requests)
                for route, requests in (
                    ("POST /documents", puts(random.Random(13))),
                    ("DELETE /documents/{id}", deletes(random.Random(31))),
                )
            )


def attack(port, route, requests):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    document = {"id": "kept", "title": "", "text": "It stays as it is.", "metadata": {}}
    key = KEYS["writer"][1]
    # The same requests would write with the right key.
    body = json.dumps({"documents": [document]})
    put, delete = ("POST", "/documents", body), ("DELETE", "/documents/kept", None)
    for write in (put, delete, put):
        status, answer = ask(connection, *write, key)
        assert status == 200, answer
    before = written(connection)
    statuses = asyncio.run(send_all(port, requests))
    status, answer = ask(connection, "GET", "/documents/kept", key=key)
    is_kept = (status, json.loads(answer)) == (200, document)
    status, _ = ask(connection, "GET", "/documents/hostile", key=key)
    writes = written(connection) - before + (not is_kept) + (status != 404)
    failures = sum(count for status, count in statuses.items() if status == 500)
    is_met = not writes and not failures
    counts = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
    print(
        f"{route}: {sum(statuses.values()):,} hostile requests, {writes:.0f} writes, {failures} "
        f"answers of 500: {'met' if is_met else 'MISSED'} ({counts})",
        flush=True,
    )
    return is_met


def written(connection):
    """Return how many documents were added, replaced or deleted, as the API counts them."""
    _, text = ask(connection, "GET", "/metrics", key=KEYS["reader"][1])
    lines = [one for one in text.decode().splitlines() if one.startswith("documents_written_total")]
    return sum(float(line.split()[-1]) for line in lines)


async def send_all(port, requests):
    """Return how often each status came; 0 is a connection without an answer."""
    statuses, turn = Counter(), iter(requests)

    async def client():
        for content in turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(content)
                answer = await asyncio.wait_for(reader.read(), 30)
            except OSError:
                answer = b""
            finally:
                writer.close()
            answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            statuses[int(answer[9:12] or 0)] += 1

    await asyncio.gather(*(client() for _ in range(TOGETHER)))
    return statuses


def credentials(chance):
    """Return header lines that give no right to write."""
    reader, writer = KEYS["reader"][1].encode(), KEYS["writer"][1].encode()
    digest = hashlib.sha256(writer).hexdigest().encode()
    wrong = bytes(chance.choice(b"abcdefgwrxyz0123456789-_") for _ in range(chance.randrange(90)))
    spaces = b" " * chance.randrange(1, 5)
    schemes = [b"Basic", b"Token", b"Digest", b"Bearer:", b"Bear", b"", b"Bearer,", b'"Bearer"']
    ends = [b",", b" x", b".", b";", b"%00", b"w", b"="]
    malformed = [
        chance.choice(schemes) + b" " + writer,
        b"Bearer" + chance.choice([b"", b"\t", b"=", b"/", b":"]) + writer,
        b"Bearer Bearer " + writer,
        b'Bearer "' + writer + b'"',
        b"Bearer " + writer + chance.choice(ends),
        b"Bearer " + writer[: chance.randrange(43)],
        b"Bearer " + writer.swapcase(),
        b"Bearer " + digest,
        b"Bearer writer:write:" + digest,
        b"Bearer " + chance.randbytes(40).translate(None, b"\r\n\x00"),
        b"Bearer " + b"w" * chance.choice([42, 44, 1_000, 30_000]),
    ]
    name = chance.choice([b"Authorization", b"AUTHORIZATION"])
    kind = chance.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return [b"Authorization: Bearer" + spaces + wrong]
    if kind == 2:
        return [name + b": Bearer" + spaces + reader]
    if kind == 3:
        keys = chance.sample([reader, writer, wrong, b""], 2)
        return [name + b": Bearer " + one for one in keys]
    if kind == 4:
        others = [b"X-API-Key", b"X-Authorization", b"Proxy-Authorization", b"Cookie"]
        return [chance.choice(others) + b": Bearer " + writer]
    return [name + b": " + chance.choice(malformed)]


def request(chance, method, path, body):
    """Return a request as bytes, with odd headers now and then."""
    odd = [
        b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: localhost", b"X-Real-IP: 127.0.0.1",
        b"X-HTTP-Method-Override: DELETE", b"X-Original-URL: /documents", b"X-Role: write",
        b"X-Request-ID: " + b"x" * 99, b"Origin: http://localhost", b"X-Auth: admin",
        b"Expect: 100-continue", b"Upgrade: websocket", b"Forwarded: for=127.0.0.1",
    ]  # fmt: skip
    host = chance.choice([b"localhost", b"127.0.0.1:80", b"[::1]"] * 5 + [b"other.example"])
    path += chance.choice(["", "", "", "?key=" + KEYS["writer"][1], "?api_key=x&role=write"])
    kind = chance.choice([b"application/json"] * 4 + [b"text/plain", b"application/x-json"])
    head = [
        f"{method} {path} HTTP/1.1".encode(),
        b"Host: " + host,
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        b"Connection: close",
        *credentials(chance),
        *chance.sample(odd, chance.choice([0, 0, 1, 3])),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def puts(chance):
    """Yield requests that would add a document, or replace the one that is kept."""
    odd = [
        "/documents/", "//documents", "/documents//", "/Documents", "/./documents", "/documents;x",
        "/x/../documents", "/documents%2f", "/%64ocuments", "/documents%00", "/documents%0a",
        "http://localhost/documents", "/documents/kept",
    ]  # fmt: skip
    paths = ["/documents"] * len(odd) + odd
    for _ in range(HOSTILE):
        one = {"id": chance.choice(["hostile", "kept"]), "text": "hostile " * chance.randint(1, 40)}
        body = json.dumps({"documents": [one]}).encode()
        if chance.random() < 0.1:
            body = chance.choice([b"", b"{", b"[]", b"\xff", body[:-1], body * 2])
        method = chance.choice(["POST"] * 8 + ["PUT", "PATCH", "GET", "OPTIONS", "post", "HEAD"])
        yield request(chance, method, chance.choice(paths), body)


def deletes(chance):
    """Yield requests that would delete the document that is kept, or one of the corpus."""
    odd = ["kept/", "kept%00", "../documents/kept", "%6bept", "kept%2f", "./kept", "k%C3%A9", ""]
    prefixes = ["/documents/"] * 8 + ["//documents/", "/documents//", "/DOCUMENTS/"]
    methods = ["DELETE"] * 8 + ["POST", "PUT", "GET", "OPTIONS", "delete", "PURGE"]
    for _ in range(HOSTILE):
        name = chance.choice(["kept"] * 8 + odd)
        path = chance.choice(prefixes) + name
        yield request(chance, chance.choice(methods), path, chance.choice([b"", b"", b"", b"{}"]))


if __name__ == "__main__":
    main()
