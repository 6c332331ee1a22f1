"""HTTP on one connection: uvicorn's protocol with limits on what it holds, and for how long."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .middleware import REQUESTS
from .secure import HEADERS, PAIRS

# Longer than proxies keep idle connections, often 60 s: they could reuse one that is just closing.
IDLE_SECONDS = 75
HEAD_SECONDS = 10  # for request line and headers, and for the rest of a body already rejected
UNREAD_SECONDS = 30  # for a client to read what exceeds the system's buffers
SURPLUS_SECONDS = 1  # of a connection that is only told that there are too many
MAX_HEAD_BYTES = 32_768
MAX_HEADERS = 100  # small ones take far more memory than bytes
MAX_PIPELINED = 8  # requests behind the one that is being answered
MAX_UNREAD_BYTES = 16_000_000  # of answers, on all connections together
MAX_SURPLUS = 32  # connections that get a 503 at a time; further ones are just closed
READ_BYTES = 32_768  # at a time, at most this much is parsed before reading can pause
BUSY = JSONResponse(
    {"detail": "Too many connections are open; try again later."},
    503,
    {"Retry-After": str(SURPLUS_SECONDS), "Connection": "close", **HEADERS},
)


class _Flow(FlowControl):
    """Reads nothing more while requests wait; uvicorn's own reads on after each answer."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """Closes connections of clients that are too slow, send endless headers or do not read.

    Beyond `max_connections`, a new one takes the place of the one that has been idle for longest
    since its last answer; if there is none it gets a 503. The operations port is exempt.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread_deadline: asyncio.TimerHandle | None = None
    _answering: Any = None  # the oldest request; `cycle` is the newest
    _head_bytes = 0
    _is_in_head = True
    _is_deaf = False  # ignores what still arrives

    def __init__(
        self,
        *arguments: Any,
        idle: "dict[Protocol, None] | None" = None,
        max_connections: int = 1_000_000,
        operations_port: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = IDLE_SECONDS  # after an answer
        self._max_connections, self._operations_port = max_connections, operations_port
        # Connections whose last request is answered, of all clients, the longest idle one first.
        self._idle = {} if idle is None else idle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request, unless there are too many connections."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        transport.set_write_buffer_limits(high=0)  # writing pauses while anything is unread
        if hasattr(transport, "max_size"):  # not in uvloop
            transport.max_size = READ_BYTES
        self._start_timer(IDLE_SECONDS)
        if self.server and self.server[1] == self._operations_port:
            return
        surplus = len(self.connections) - self._max_connections
        if surplus > 0 and self._idle:
            oldest = next(iter(self._idle))
            self._idle.pop(oldest)
            self.connections.discard(oldest)
            oldest.transport.close()
            surplus = 0
        if surplus <= 0:
            return
        REQUESTS.labels("unknown", BUSY.status_code).inc()
        self.app = BUSY
        if surplus > MAX_SURPLUS:
            transport.abort()
        else:
            self.loop.call_later(SURPLUS_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers and the request that is being answered."""
        self._stop_timer()
        self._stop_unread_timer()
        self._idle.pop(self, None)
        self.pipeline.clear()
        if self._answering and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, unless the head is too long."""
        if self._is_deaf:
            return
        is_idle, cycle = self.timeout_keep_alive_task is not None, self.cycle
        super().data_received(data)
        if is_idle and cycle is self.cycle and not self._is_in_head:
            self._start_timer(IDLE_SECONDS)  # only line ends came, which begin no request
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES or len(self.headers or ()) > MAX_HEADERS:
                self._reject_head()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._idle.pop(self, None)
        self._is_in_head, self._head_bytes = True, 0
        self._start_timer(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """End a head; the middleware limits how long the body takes."""
        self._is_in_head = False
        self._stop_timer()
        if len(self.headers) > MAX_HEADERS and not self._is_deaf:
            self._reject_head()
        if not self._is_deaf:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body."""
        if not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; beyond a full pipeline the connection ends with the answers it owes."""
        self._stop_timer()
        if self._is_deaf:
            return
        super().on_message_complete()
        if len(self.pipeline) >= MAX_PIPELINED:
            self._is_deaf, self.cycle.keep_alive = True, False

    def on_response_complete(self) -> None:
        """Limit how long the rest of an already answered body may take."""
        if self._answering.more_body:
            self._start_timer(HEAD_SECONDS)
        super().on_response_complete()
        if self.timeout_keep_alive_task and not self.transport.is_closing():
            self._idle[self] = None

    def pause_writing(self) -> None:
        """Give the client time to read; of all that read too little, let go who has most to."""
        super().pause_writing()
        self._unread_deadline = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
        connections: Iterable[Any] = self.connections
        unread = {
            one.transport: one.transport.get_write_buffer_size()
            for one in connections
            if one.flow.write_paused
        }
        if sum(unread.values()) > MAX_UNREAD_BYTES:
            max(unread, key=lambda transport: unread[transport]).abort()

    def resume_writing(self) -> None:
        """Go on: the client has read everything."""
        self._stop_unread_timer()
        super().resume_writing()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Reject what is not HTTP, with the headers of every answer."""
        state, known = self.server_state, self.server_state.default_headers
        state.default_headers = [*known, *PAIRS]
        super().send_400_response(msg)
        state.default_headers = known

    def _reject_head(self) -> None:
        self._is_deaf = True
        if self.headers:
            self.headers.clear()
        self.send_400_response("The request line and the headers are too long.")

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._deadline = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _stop_timer(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _stop_unread_timer(self) -> None:
        if self._unread_deadline:
            self._unread_deadline.cancel()
            self._unread_deadline = None
