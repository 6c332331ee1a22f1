"""The serve verb: the API in one process."""

import asyncio
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
from ..errors import UserError
from ..params import Params
from .app import create_app
from .protocol import Protocol

SHUTDOWN_SECONDS = 20  # for requests under way; a client that never finishes does not hold it up
LINGER_SECONDS = 1  # for requests that are on their way to an idle connection
log = logging.getLogger(__package__)


class Server(uvicorn.Server):
    """Stops without losing a request: uvicorn would close idle connections in a client's face."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let each connection end with its next answer, then close the rest."""
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
        """Accept whoever has connected already, and nobody after that."""
        accepted = []
        with listener:
            listener.setblocking(False)
            with suppress(OSError):  # nobody is left, or no more can be opened
                while True:
                    accepted.append(listener.accept()[0])
        # As uvicorn itself does for each connection.
        protocol: Any = self.config.http_protocol_class
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        answer = partial(protocol, config=self.config, **state)
        for connection in accepted:
            await asyncio.get_running_loop().connect_accepted_socket(answer, connection)


def run(params: Params) -> None:
    """Serve on HOST and PORT until stopped; requests under way are finished first."""
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"PORT: {port!r} is not a port number between 1 and 65535")
    read_manifest(MODELS, made_by="train")  # say at once what is missing
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=2048)
    except OSError as error:
        raise UserError(f"HOST, PORT: {host}:{port} cannot be used: {error.strerror}") from None
    # Answers leave at once, not when their predecessor is acknowledged; accepted ones inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The libraries' own threads would take cores from those that compute batches.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    name = f"[{host}]" if ":" in host else host
    log.info("serving on http://%s:%s (Ctrl+C stops it)", name, port)
    app = create_app(params)
    # Once it has stopped for a signal, uvicorn raises it again: this then says how it went.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(app.state.has_failed)))
    config = uvicorn.Config(app, http=Protocol, access_log=False, log_config=None)
    config.timeout_graceful_shutdown = SHUTDOWN_SECONDS
    Server(config).run([listener])
