"""What happens to every request: an id, a prefix, a log line and metrics."""

import json
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import Serve
from .prometheus import metric
from .reading import Reader

REQUESTS = metric(Counter, "http_requests", "Requests by route and status", ["route", "status"])
SECONDS = metric(
    Histogram, "http_request_duration_seconds", "Time from request to answer", ["route"]
)
MAX_LOGGED = 200  # characters of a path
PRIVATE = ("/metrics", "/model")  # with an operations port only there
PROBES = ("/health", "/ready")  # on both ports
CLIENT_GONE = 499  # as nginx logs it; nobody receives it
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
log = logging.getLogger(__package__)


class Middleware:
    """Wraps the application; plain ASGI, which adds microseconds."""

    def __init__(self, app: ASGIApp, settings: Serve) -> None:
        self._app = app
        self._reader = Reader(app, settings.max_body_bytes)
        self._root_path = settings.root_path or ""
        self._operations_port = settings.operations_port

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
        guard = scope["app"].state.guard
        key, rejection = guard.check(routed, is_operator=self._is_operations(scope))
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
            if answer := rejection or self._rerouted(routed, scope["path"]):
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

    def _is_operations(self, scope: Scope) -> bool:
        """Return whether the request came to the port that only the operator reaches."""
        port = self._operations_port
        return port is not None and (scope.get("server") or (None, None))[1] == port

    def _rerouted(self, scope: Scope, given: str) -> Response | None:
        """Return a 404 for what is on the other port, or a redirect to the page's final slash."""
        prefix, path = self._root_path, scope["path"].removeprefix(self._root_path)
        is_private = path in PRIVATE
        is_elsewhere = not is_private and path not in PROBES
        if self._operations_port and (is_elsewhere if self._is_operations(scope) else is_private):
            return JSONResponse({"detail": "Not Found"}, 404)
        return RedirectResponse(f"{prefix}/") if prefix and given == prefix else None

    def _routed(self, scope: Scope) -> Scope:
        """Return the request as the routes know it: under the prefix, with GET for HEAD."""
        path, prefix = scope["path"], self._root_path
        if not f"{path}/".startswith(f"{prefix}/"):  # the proxy has removed it
            path = prefix + path
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {**scope, "root_path": prefix, "path": path, "method": method}
