"""What happens to every request: an id, a prefix, a log line and metrics."""

import json
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .prometheus import metric
from .reading import Reader

REQUESTS = metric(Counter, "http_requests", "Requests by route and status", ["route", "status"])
SECONDS = metric(
    Histogram, "http_request_duration_seconds", "Time from request to answer", ["route"]
)
MAX_LOGGED = 200  # characters of a path
CLIENT_GONE = 499  # as nginx logs it; nobody receives it
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
log = logging.getLogger(__package__)


class Middleware:
    """Wraps the application; plain ASGI, which adds microseconds."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, root_path: str | None = None) -> None:
        self._app = app
        self._reader = Reader(app, max_body_bytes)
        self._root_path = root_path or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if rejection := self._reader.overloaded(scope):
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
            if answer := rejection or self._redirected(scope):
                await answer(scope, receive, send_with_id)  # the body stays unread
            else:
                await self._reader(routed, receive, send_with_id)
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
