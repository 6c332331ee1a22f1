"""What happens to every request: an id, a prefix, a log line and metrics."""

import json
import logging
import re
import time
import uuid

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
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
        headers = Headers(scope=scope)
        given, host = headers.get("x-request-id", ""), headers.get("host", "")
        entry = {
            "request_id": given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
            "method": scope["method"],
            "path": scope["path"][:MAX_LOGGED],
            "status": CLIENT_GONE,
        }
        scope.setdefault("state", {})["request_id"] = entry["request_id"]
        routed = self._routed(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                answered = MutableHeaders(scope=message)
                answered["X-Request-ID"] = entry["request_id"]
                place = answered.get("location", "")
                if place.startswith((f"http://{host}/", f"https://{host}/")):
                    # A proxy may serve the API under another scheme and host.
                    answered["location"] = "/" + place.split("/", 3)[3]
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            if self._is_on_this_port(routed):
                await self._reader(routed, receive, send_with_id)
            else:
                await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send_with_id)
        except Exception:
            entry["status"] = 500
            raise
        finally:
            seconds = time.perf_counter() - start
            # The route's pattern: a scanner's made-up paths must not become new time series.
            route = getattr(routed.get("route"), "path", "unknown")
            REQUESTS.labels(route, entry["status"]).inc()
            SECONDS.labels(route).observe(seconds)
            log.info(json.dumps({**entry, "ms": round(seconds * 1000, 1)}))

    def _is_operations(self, scope: Scope) -> bool:
        """Return whether the request came to the port that only the operator reaches."""
        port = self._operations_port
        return port is not None and (scope.get("server") or (None, None))[1] == port

    def _is_on_this_port(self, scope: Scope) -> bool:
        if self._operations_port is None:
            return True
        path = scope["path"].removeprefix(self._root_path)
        if self._is_operations(scope):
            return path in PRIVATE + PROBES
        return path not in PRIVATE

    def _routed(self, scope: Scope) -> Scope:
        """Return the request as the routes know it: under the prefix, with GET for HEAD."""
        path, prefix = scope["path"], self._root_path
        if not f"{path}/".startswith(f"{prefix}/"):  # the proxy has removed it
            path = prefix + path
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {**scope, "root_path": prefix, "path": path, "method": method}
