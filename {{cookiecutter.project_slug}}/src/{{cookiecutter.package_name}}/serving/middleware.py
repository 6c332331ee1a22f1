"""What happens to every request: an id, a limit on the body, a log line, and counters."""

import asyncio
import json
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("http_requests", "Requests by route and status", ["route", "status"])
SECONDS = Histogram("http_request_seconds", "Time from request to answer", ["route"])
BODY_SECONDS = 30
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
log = logging.getLogger(__package__)


class Middleware:
    """Wraps the application; plain ASGI, so that it adds microseconds."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        entry = {
            "request_id": given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
            "method": scope["method"],
            "path": scope["path"],
            "status": 500,
        }

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = entry["request_id"]
            await send(message)

        try:
            body = await self._read(receive)
            if isinstance(body, JSONResponse):
                await body(scope, receive, send_with_id)
            else:
                await self._app(scope, _replay(body, receive), send_with_id)
        finally:
            seconds = time.perf_counter() - start
            # The pattern, not the path: a scanner's made-up paths must not become new series.
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(route, entry["status"]).inc()
            SECONDS.labels(route).observe(seconds)
            log.info(json.dumps({**entry, "ms": round(seconds * 1000, 1)}))

    async def _read(self, receive: Receive) -> bytes | JSONResponse:
        """Return the whole body, or a refusal as soon as it is too long or too slow."""
        body, more = b"", True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._max_body_bytes:
                        detail = f"The body may have at most {self._max_body_bytes:,} bytes."
                        return JSONResponse({"detail": detail}, 413)
        except TimeoutError:
            detail = f"The body did not arrive within {BODY_SECONDS} s."
            return JSONResponse({"detail": detail}, 408)
        return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then whatever comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
