"""Reads the body of every request, within limits, and stops a request whose client is gone."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .queue import OverloadError

BODY_SECONDS = 30
MAX_PENDING = 64  # requests that the event loop reads or answers at a time


class Reader:
    """Gives the application whole bodies only."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._running = 0  # POST requests, from their whole body to their answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._read(receive)
        if isinstance(body, bytes):  # many may have arrived since it was let in
            body = self.overloaded(scope) or body
        if isinstance(body, JSONResponse):
            await body(scope, receive, send)
        elif body is not None:
            await self._run(scope, body, receive, send)

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
