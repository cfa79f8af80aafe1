"""A base for uvicorn's protocols that bounds what a hostile or broken client costs.

uvicorn bounds neither the time in which a request must arrive, nor what a closing connection
waits for, nor what tiny pieces cost.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import orjson

from vivavoce.http import errors
from vivavoce.http.connection_limits import ConnectionSlot
from vivavoce.http.freed_memory import MUCH_BYTES, return_memory_later
from vivavoce.http.log_limits import LineRateLimit
from vivavoce.http.read_pace import ReadPace

LINGER_S = 2.0
QUIET_S = 0.2
NOTHING = memoryview(b"")
DISCARDED = memoryview(bytearray(64 * 1024))
"""Where all connections read to what they throw away."""

logging.getLogger("uvicorn.error").addFilter(LineRateLimit())


class BoundedProtocol(asyncio.BufferedProtocol):
    """A protocol that reads in small pieces, within its slot, and closes without a reset.

    A connection that is closed with unread data in it is reset, and the client never reads the
    answer. So what a client goes on sending is thrown away until it is quiet for `QUIET_S`, at
    most for `LINGER_S`.
    """

    pace: ReadPace
    slot: ConnectionSlot
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _buffer = NOTHING
    _quiet: asyncio.TimerHandle | None = None
    _cut: asyncio.TimerHandle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _received = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        self.pace.begin()
        if self.lingering:
            return DISCARDED
        # A view, since asyncio's TLS writes into slices of it.
        self._buffer = memoryview(bytearray(self.read_size))
        return self._buffer

    @property
    def read_size(self) -> int:
        """How many bytes are read at a time, before others get their turn."""
        return self.pace.size

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        data, self._buffer = bytes(self._buffer[:nbytes]), NOTHING
        if self.lingering:
            self.linger()
        else:
            self.data_received(data)
        self.pace.end(nbytes)
        if self._is_connected() and self.pace.pauses(self._read_on):
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self._is_connected() and (self.lingering or self.wants_data()):
            self.transport.resume_reading()

    def _is_connected(self) -> bool:
        return self.transport.get_protocol() is self and not self.transport.is_closing()

    def wants_data(self) -> bool:
        """Whether what was read before has been taken."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Take a piece of what the client sent."""
        raise NotImplementedError

    @property
    def lingering(self) -> bool:
        """Whether what arrives is thrown away, and the connection soon closed."""
        return self._quiet is not None

    def linger(self) -> None:
        """Throw away what arrives, and close once the client is quiet."""
        if self._quiet is not None:
            self._quiet.cancel()
        else:
            self.transport.resume_reading()
            self.slot.forget_bytes()
        self._quiet = self.loop.call_later(QUIET_S, self.transport.close)
        self.cut_after(LINGER_S)

    def cut_after(self, wait_s: float) -> None:
        """Abort after so long: closing waits for unread output to leave, which may never be."""
        if self._cut is None:
            self._cut = self.loop.call_later(wait_s, self.transport.abort)

    def set_deadline(self, wait_s: float) -> None:
        """Abort after so long, unless `clear_deadline` comes first."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(wait_s, self.transport.abort)

    def clear_deadline(self) -> None:
        """Expect nothing within a time."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def give_back(self) -> None:
        """Release what the connection held, once it is lost."""
        self.clear_deadline()
        self.pace.close()
        for timer in (self._quiet, self._cut):
            if timer is not None:
                timer.cancel()
        self.slot.release()
        if self._received > MUCH_BYTES:
            return_memory_later(self.loop)


def http_refusal(status: int, message: str = "malformed request") -> bytes:
    """Return a complete HTTP response in the API's form; `status` is one of `errors.STATUS`."""
    body = orjson.dumps(errors.error_response(status, message).body)
    allow = "Allow: GET\r\n" if status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {errors.CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n{allow}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def large_head_refusal() -> bytes:
    """Return the response to a request whose head is larger than is read."""
    return http_refusal(431, "request header fields too large")
