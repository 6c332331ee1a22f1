"""HTTP on one connection: what uvicorn does, and limits to what comes before a request's body."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10  # for a request line and headers, and for the rest of a body already refused
MAX_HEAD_BYTES = 65_536


class Protocol(HttpToolsProtocol):
    """Closes connections of clients that dawdle, or whose headers have no end."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for long."""
        super().connection_made(transport)
        self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is more than a head may have."""
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The request line and the headers are too long.")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._hurry()

    def on_headers_complete(self) -> None:
        """End a head; how long the body takes is the middleware's business."""
        self._is_in_head = False
        self._relax()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._relax()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that is answered already, but not for long."""
        if self.cycle.more_body:
            self._hurry()
        super().on_response_complete()

    def _hurry(self) -> None:
        self._relax()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _relax(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
