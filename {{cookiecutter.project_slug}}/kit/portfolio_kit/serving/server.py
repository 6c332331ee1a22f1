"""Serves the API in one process."""

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn

from ..artifacts import MODELS, read_manifest
from ..config import Settings
from ..errors import UserError
from ..project import Project
from .access import read_keys
from .app import create_app
from .protocol import Protocol

MAX_CONNECTIONS = 4_096
SPARE = 128  # descriptors for all but connections and the files that they are sent
BACKLOG = 2_048  # clients that may wait to be accepted
ACCEPTED = 1 / 8  # of the connections at a time, before it is seen whether there are too many
SEND_BYTES = 65_536  # the system's buffer per connection, which would grow to megabytes
SHUTDOWN_SECONDS = 20  # for running requests; a client that never finishes does not block it
LINGER_SECONDS = 1  # for requests on their way to an idle connection
log = logging.getLogger(__package__)


class Server(uvicorn.Server):
    """Stops without losing a request: uvicorn would close idle connections under its clients."""

    has_failed = False

    def fail(self) -> None:
        """Stop, with exit code 1: without its model the service is useless."""
        self.has_failed = self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening; for asyncio the backlog is also how many are accepted in a row."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end each connection with its next answer, then close the rest."""
        waiting = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        for listener in waiting:
            await self._accept_all(listener)
        closing = [*self.server_state.default_headers, (b"connection", b"close")]
        self.server_state.default_headers = closing
        deadline = time.monotonic() + LINGER_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    async def _accept_all(self, listener: socket.socket) -> None:
        """Accept the clients that have already connected."""
        accepted = []
        with listener:
            listener.setblocking(False)
            with suppress(OSError):  # none is left, or no more can be opened
                while True:
                    accepted.append(listener.accept()[0])
        # As uvicorn itself does for each connection.
        protocol: Any = self.config.http_protocol_class
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        answer = partial(protocol, config=self.config, **state)
        for connection in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(answer, connection)


def serve(project: Project, params: Settings) -> int:
    """Serve on HOST and PORT until stopped, finish accepted requests, and return the exit code."""
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"PORT: {port!r} is not a port number between 1 and 65535")
    # Report a missing model or a malformed key before anything starts.
    read_keys(project.package)
    read_manifest(MODELS, project.serving().predictor.manifest_type, made_by="train")
    operations_port = params.serve.operations_port
    if operations_port == int(port):
        raise UserError(f"serve.operations_port: {port} is PORT, where the API is; choose another")
    listeners = [_listen(host, int(port), "PORT")]
    if operations_port:
        listeners.append(_listen(host, operations_port, "serve.operations_port"))
    # The libraries' own threads would take cores from those that compute batches.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    name = f"[{host}]" if ":" in host else host
    log.info("serving on http://%s:%s (Ctrl+C stops it)", name, port)
    if operations_port:
        log.info("serving metrics on http://%s:%s/metrics", name, operations_port)
    # After stopping, uvicorn raises the signal again; this ends the process with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    is_local = ipaddress.ip_address(listeners[0].getsockname()[0]).is_loopback
    is_local = is_local and not params.serve.trusted_proxies
    app = create_app(project, params, on_failure=lambda: server.fail(), is_local=is_local)
    log.info("%s", app.state.guard)
    most = connections()
    protocol: Any = partial(
        Protocol, idle={}, max_connections=most, operations_port=operations_port
    )
    config = uvicorn.Config(app, http=protocol, access_log=False, log_config=None)
    config.backlog = max(1, int(ACCEPTED * most))
    config.timeout_graceful_shutdown = SHUTDOWN_SECONDS
    config.forwarded_allow_ips = params.serve.trusted_proxies
    server = Server(config)
    server.run(listeners)
    return int(server.has_failed)


def _listen(host: str, port: int, name: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"HOST, {name}: {host}:{port} cannot be used: {error.strerror}") from None
    # Connections inherit these. Answers are sent at once, not when the previous one is
    # acknowledged; one that nobody reads takes little memory of the system's.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    return listener


def connections() -> int:
    """Allow as many descriptors as needed, and return how many connections fit into them.

    Each may need two: its own, and that of a file it is being sent.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    wanted = 2 * MAX_CONNECTIONS + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fitting = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)
    return max(1, (fitting - SPARE) // 2)
