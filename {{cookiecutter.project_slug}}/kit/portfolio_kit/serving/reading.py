"""Reads the body of every request, within limits, and stops a request whose client is gone."""

import asyncio

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .queue import OverloadError

BODY_SECONDS = 30
READ_SECONDS = 1  # for a client to read its answer; afterwards the request counts no longer
MAX_PENDING = 64  # requests that the event loop reads or answers at a time
MAX_TARGET_BYTES = 8_192  # of path and query
BODIES = 16  # largest ones that fit into the memory which all bodies share
BODILESS = ("GET", "DELETE")  # and HEAD, which arrives here as GET


class Reader:
    """Gives the application whole bodies only.

    All bodies together, from their first byte to the end of their answer, may take as much memory
    as `BODIES` of the largest. Beyond it the largest unfinished one is rejected, so clients that
    never finish theirs leave room for small ones.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._running = 0  # POST requests, from their whole body to their answer
        self._unfinished: dict[asyncio.Timeout, int] = {}  # bytes of each body so far
        self._held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._unreadable(scope) or await self._read(receive)
        size = len(body) if isinstance(body, bytes) else 0
        self._held += size
        try:
            if isinstance(body, bytes):  # many may have arrived since it was let in
                body = self.overloaded(scope) or body
            if isinstance(body, JSONResponse):
                await body(scope, receive, send)
            elif body is not None:
                await self._run(scope, body, receive, send)
        finally:
            self._held -= size

    def overloaded(self, scope: Scope) -> JSONResponse | None:
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

    def _unreadable(self, scope: Scope) -> JSONResponse | None:
        """Return a rejection of what the head announces, before any body is read."""
        if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            detail = f"Path and query may have at most {MAX_TARGET_BYTES:,} bytes together."
            return JSONResponse({"detail": detail}, 414)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        has_body = length != "0" or "transfer-encoding" in headers
        if has_body and scope["method"] in BODILESS and _is_routed(scope):
            return JSONResponse({"detail": f"A {scope['method']} request has no body."}, 413)
        is_known = length.isdecimal() and len(length) < 20
        return self._too_large() if is_known and int(length) > self._max_body_bytes else None

    def _too_large(self) -> JSONResponse:
        detail = f"The body may have at most {self._max_body_bytes:,} bytes."
        return JSONResponse({"detail": detail}, 413)

    async def _read(self, receive: Receive) -> bytes | JSONResponse | None:
        """Return the whole body, a rejection, or None if the client left before its end."""
        parts, more = [], True  # not one growing buffer: the allocator would not reuse its pieces
        limit = asyncio.timeout(BODY_SECONDS)
        self._unfinished[limit] = 0
        try:
            async with limit:
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    if limit not in self._unfinished:
                        return _crowded()
                    part, more = message.get("body", b""), message.get("more_body", False)
                    parts.append(part)
                    self._unfinished[limit] += len(part)
                    self._held += len(part)
                    if self._unfinished[limit] > self._max_body_bytes:
                        return self._too_large()
                    self._make_room()
                    if limit not in self._unfinished:
                        return _crowded()
        except TimeoutError:
            if limit not in self._unfinished:
                return _crowded()
            detail = f"The body did not arrive within {BODY_SECONDS} s."
            return JSONResponse({"detail": detail}, 408)
        finally:
            self._held -= self._unfinished.pop(limit, 0)
        return b"".join(parts)

    def _make_room(self) -> None:
        """Stop reading the largest bodies until all others fit."""
        while self._unfinished and self._held > BODIES * self._max_body_bytes:
            limit = max(self._unfinished, key=self._unfinished.__getitem__)
            self._held -= self._unfinished.pop(limit)
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the application, or stop it as soon as the client is gone."""
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.ensure_future(receive())  # after the body only a disconnect can come
        counted = int(scope["method"] == "POST")
        reading: asyncio.TimerHandle | None = None  # since the answer is made

        async def replay() -> Message:
            return messages.pop() if messages else await asyncio.shield(gone)

        def forget() -> None:
            nonlocal counted
            self._running -= counted
            counted = 0

        async def send_made(message: Message) -> None:
            nonlocal reading
            # Counting it a little longer keeps a loop that is overloaded from taking on more.
            reading = reading or asyncio.get_running_loop().call_later(READ_SECONDS, forget)
            await send(message)

        running = asyncio.ensure_future(self._app(scope, replay, send_made))
        self._running += counted
        try:
            await asyncio.wait([running, gone], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            forget()
            if reading:
                reading.cancel()
            gone.cancel()
            running.cancel()


def _is_routed(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)


def overloaded(error: OverloadError) -> JSONResponse:
    """Return the answer to a request that the queue has no room for."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(error.retry_after)})


def _crowded() -> JSONResponse:
    detail = "Too many bodies are being received; try again later."
    return JSONResponse({"detail": detail}, 503, {"Retry-After": "1"})
