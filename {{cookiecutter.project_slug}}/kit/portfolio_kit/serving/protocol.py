"""HTTP on one connection: uvicorn's protocol with limits on what precedes a request's body."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Longer than proxies keep idle connections, often 60 s: they could reuse one that is just closing.
IDLE_SECONDS = 75
HEAD_SECONDS = 10  # for request line and headers, and for the rest of a body already rejected
MAX_HEAD_BYTES = 65_536


class Protocol(HttpToolsProtocol):
    """Closes connections of clients that are too slow or send endless headers."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = IDLE_SECONDS  # after an answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._start_timer(IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, unless the head is too long."""
        is_idle, cycle = self.timeout_keep_alive_task is not None, self.cycle
        super().data_received(data)
        if is_idle and cycle is self.cycle and not self._is_in_head:
            self._start_timer(IDLE_SECONDS)  # only line ends came, which begin no request
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The request line and the headers are too long.")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._start_timer(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """End a head; the middleware limits how long the body takes."""
        self._is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Limit how long the rest of an already answered body may take."""
        if self.cycle.more_body:
            self._start_timer(HEAD_SECONDS)
        super().on_response_complete()

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._deadline = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _stop_timer(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
