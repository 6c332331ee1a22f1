"""The serve verb: the API in one process."""

import logging
import os
import socket
import sys

import uvicorn

from ..artifacts import MODELS, read_manifest
from ..errors import UserError
from ..params import Params
from .app import create_app

SHUTDOWN_SECONDS = 20  # for requests under way; a client that never finishes does not hold it up


def run(params: Params) -> None:
    """Serve on HOST and PORT until stopped; requests under way are finished first."""
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"PORT: {port!r} is not a port number between 1 and 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, int(port)), family=family).close()
    except OSError as error:
        raise UserError(f"HOST, PORT: {host}:{port} cannot be used: {error.strerror}") from None
    read_manifest(MODELS, made_by="train")  # say at once what is missing
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    server = uvicorn.Config(create_app(params), host, int(port), access_log=False, log_config=None)
    server.timeout_graceful_shutdown = SHUTDOWN_SECONDS
    uvicorn.Server(server).run()
