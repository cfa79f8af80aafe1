"""Bound what one connection costs: deadlines, the pace of reads, large frames, freed memory.

uvicorn bounds neither the time in which a request must arrive, nor what a closing connection
waits for, nor what tiny pieces cost. Pings, fragments, tiny HTTP chunks and bytes that arrive one
by one never reach a conversation, whose own limits are in `runtime.rate_limit`, and cost the event
loop as much as messages do. So the time that reading takes is measured: a connection that takes
more than its share is not read for a moment, and is read in smaller pieces.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import struct
import time
from collections.abc import Callable, Generator
from http import HTTPStatus
from weakref import WeakSet

import orjson
from websockets.frames import Opcode
from websockets.streams import StreamReader

from vivavoce.http import errors
from vivavoce.http.limits import ConnectionSlot, LineRateLimit
from vivavoce.runtime.rate_limit import LoopShare

READ_SHARE = 0.1
"""Of the event loop, for what one connection sends before anything is made of it."""

READ_BURST_S = 0.02
"""So much at once: a picture of 20 MB."""

LONGEST_S = 0.0005
"""What one read may take; the next one of a connection that took longer is smaller."""

SMALLEST_READ = 256
SHORTEST_PAUSE_S = 0.01
"""So much arrives meanwhile that bytes which come one by one are read together."""


class ReadPace:
    """The pace of one connection, to which no reference is held between its reads.

    `largest` is how many bytes are read at a time while that is quick.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        largest: int,
        processor_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._loop = loop
        self._largest = self.size = largest
        self._processor_s = processor_s
        self._share = LoopShare(READ_SHARE, processor_s, READ_BURST_S)
        self._began = processor_s()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Measure from now on what a read takes, the system's part of it included."""
        self._began = self._processor_s()

    def end(self, count: int) -> None:
        """Count the read, which was of `count` bytes."""
        taken_s = self._processor_s() - self._began
        self._share.count_work(taken_s)
        if taken_s > LONGEST_S:
            # A read within a large frame may have been larger than all that are paced.
            quick = int(count * LONGEST_S / taken_s)
            self.size = max(SMALLEST_READ, min(self._largest, quick))
        else:
            self.size = min(self._largest, 2 * self.size)

    def count_work(self, taken_s: float) -> float:
        """Count work that follows from what was read; the seconds until its share has made up."""
        self._share.count_work(taken_s)
        return self._share.debt_s()

    @property
    def paused(self) -> bool:
        """Whether the connection is not to be read for now."""
        return self._timer is not None

    def pauses(self, resume: Callable[[], None]) -> bool:
        """Whether to read no further until `resume` is called."""
        if self._timer is None and (wait_s := self._share.debt_s()):
            self._timer = self._loop.call_later(wait_s + SHORTEST_PAUSE_S, self._go_on, resume)
        return self.paused

    def close(self) -> None:
        """Stop the timer that would resume reading."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self, resume: Callable[[], None]) -> None:
        self._timer = None
        resume()


FRAGMENT_BYTES = 64 * 1024

_HEAD = struct.Struct("!BBQ4s")
_FINAL, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED_64_BIT = 0x80 | 127
_SPLIT = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)


class FrameSplitter(StreamReader):
    """Splits masked data frames above `FRAGMENT_BYTES`, but those above `largest` bytes, which the
    parser refuses by their header.

    `left` is what of the present frame has not been given to the parser, in bytes.
    """

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.left = 0
        self._largest = largest
        self._final = 0
        self._mask = b""

    def at_eof(self) -> Generator[None, None, bool]:
        """Tell whether the stream has ended; the parser asks before each frame."""
        if self.left:
            self._begin_fragment(Opcode.CONT)
            return False
        if (yield from super().at_eof()):
            return True
        yield from self._await(2)
        if len(self.buffer) >= 2 and self.buffer[1] == _MASKED_64_BIT:
            yield from self._await(_HEAD.size)
            if len(self.buffer) >= _HEAD.size:
                self._split()
        return False

    def _await(self, count: int) -> Generator[None, None, None]:
        while len(self.buffer) < count and not self.eof:
            yield

    def _split(self) -> None:
        first, _, length, mask = _HEAD.unpack_from(self.buffer)
        splits = first & _OPCODE in _SPLIT and not first & _RESERVED
        if splits and FRAGMENT_BYTES < length <= self._largest:
            del self.buffer[: _HEAD.size]
            self.left, self._mask, self._final = length, mask, first & _FINAL
            self._begin_fragment(first & _OPCODE)

    def _begin_fragment(self, opcode: int) -> None:
        """Put the header of the next fragment in front of what has arrived of it."""
        length = min(self.left, FRAGMENT_BYTES)
        self.left -= length
        final = 0 if self.left else self._final
        self.buffer[:0] = _HEAD.pack(final | opcode, _MASKED_64_BIT, length, self._mask)

    def discard(self) -> None:
        """Drop what has arrived, and the rest of its frame."""
        super().discard()
        self.left = 0


MUCH_BYTES = 1024 * 1024
"""What a connection has to have brought for it to matter."""

DELAY_S = 5.0
"""How long after such a connection: what its session held is freed by then, and many connections
are served by one call, which takes a fifth of a millisecond for each megabyte, in a thread."""

_expected: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def return_memory_later(loop: asyncio.AbstractEventLoop) -> None:
    """Have freed memory returned in `DELAY_S` seconds, unless that is expected already."""
    if loop not in _expected:
        _expected.add(loop)
        loop.call_later(DELAY_S, _return_memory, loop)


def _return_memory(loop: asyncio.AbstractEventLoop) -> None:
    _expected.discard(loop)
    loop.run_in_executor(None, trim_heap)


def trim_heap() -> bool:
    """Return free pages of the C library's heap to the system. False where it has no such call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(trim(0))


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
