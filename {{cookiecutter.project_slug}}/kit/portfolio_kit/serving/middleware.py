"""What happens to every request: an id, limits, a log line and metrics."""

import asyncio
import json
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .prometheus import metric
from .queue import OverloadError

REQUESTS = metric(Counter, "http_requests", "Requests by route and status", ["route", "status"])
SECONDS = metric(
    Histogram, "http_request_duration_seconds", "Time from request to answer", ["route"]
)
BODY_SECONDS = 30
MAX_PENDING = 64  # requests that the event loop reads or answers at a time
MAX_LOGGED = 200  # characters of a path
CLIENT_GONE = 499  # as nginx logs it; nobody receives it
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
log = logging.getLogger(__package__)


class Middleware:
    """Wraps the application; plain ASGI, which adds microseconds."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, root_path: str | None = None) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._root_path = root_path or ""
        self._running = 0  # POST requests, from their whole body to their answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if rejection := self._overloaded(scope):
            # Rejecting must be cheap: no body is read, no id made, no line logged.
            REQUESTS.labels("unknown", rejection.status_code).inc()
            return await rejection(scope, receive, send)
        start = time.perf_counter()
        entry = {
            "request_id": uuid.uuid4().hex,
            "method": scope["method"],
            "path": scope["path"][:MAX_LOGGED],
            "status": CLIENT_GONE,
        }
        given = Headers(scope=scope).get("x-request-id", "")
        if REQUEST_ID.fullmatch(given):  # anybody may send any: ours alone tells requests apart
            entry["client_request_id"] = given
        state = scope.setdefault("state", {})
        state["request_id"] = entry["request_id"]
        routed = self._routed(scope)
        key, rejection = scope["app"].state.guard.check(routed)
        if key:
            entry["key"] = key

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = entry["request_id"]
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            body = rejection or self._redirected(scope) or await self._read(receive)
            if isinstance(body, bytes):  # many may have arrived since it was let in
                body = self._overloaded(scope) or body
            if isinstance(body, Response):
                await body(scope, receive, send_with_id)
            elif body is not None:
                await self._run(routed, body, receive, send_with_id)
        except Exception:
            entry["status"] = 500
            raise
        finally:
            seconds = time.perf_counter() - start
            # The route's pattern: a scanner's made-up paths must not become new time series.
            route = getattr(routed.get("route"), "path", "unknown")
            REQUESTS.labels(route, entry["status"]).inc()
            SECONDS.labels(route).observe(seconds)
            if "cause" in state:
                entry["cause"] = state["cause"]
            log.info(json.dumps({**entry, "ms": round(seconds * 1000, 1)}))

    def _routed(self, scope: Scope) -> Scope:
        """Return the request as the routes know it: under the prefix, with GET for HEAD."""
        path, prefix = scope["path"], self._root_path
        if not f"{path}/".startswith(f"{prefix}/"):  # the proxy has removed it
            path = prefix + path
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {**scope, "root_path": prefix, "path": path, "method": method}

    def _redirected(self, scope: Scope) -> Response | None:
        """Return a redirect to the page from its address without the final slash."""
        prefix = self._root_path
        return RedirectResponse(f"{prefix}/") if prefix and scope["path"] == prefix else None

    def _overloaded(self, scope: Scope) -> JSONResponse | None:
        """Return a rejection if the model or the event loop is too busy for one more POST."""
        queue = scope["app"].state.queue
        if queue is None or scope["method"] != "POST":
            return None
        try:
            queue.check()
            if self._running - queue.requests > MAX_PENDING:
                raise OverloadError(0)
        except OverloadError as error:
            return overloaded(error)
        return None

    async def _read(self, receive: Receive) -> bytes | JSONResponse | None:
        """Return the whole body, a rejection, or None if the client left before its end."""
        body, more = b"", True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._max_body_bytes:
                        detail = f"The body may have at most {self._max_body_bytes:,} bytes."
                        return JSONResponse({"detail": detail}, 413)
        except TimeoutError:
            detail = f"The body did not arrive within {BODY_SECONDS} s."
            return JSONResponse({"detail": detail}, 408)
        return body

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the application, or stop it as soon as the client is gone."""
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.ensure_future(receive())  # after the body only a disconnect can come

        async def replay() -> Message:
            return messages.pop() if messages else await asyncio.shield(gone)

        running = asyncio.ensure_future(self._app(scope, replay, send))
        self._running += (is_post := scope["method"] == "POST")
        try:
            await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            self._running -= is_post
            gone.cancel()
            running.cancel()


def overloaded(error: OverloadError) -> JSONResponse:
    """Return the answer to a request that the queue has no room for."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(error.retry_after)})
