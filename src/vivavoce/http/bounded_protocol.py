"""Limit the cost of one connection: pace of reads, large frames, deadlines, freed memory.

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
from functools import partial
from http import HTTPStatus
from weakref import WeakSet

import orjson
from websockets.frames import Opcode
from websockets.streams import StreamReader

from vivavoce.http import errors
from vivavoce.http.limits import ConnectionSlot, LineRateLimit
from vivavoce.runtime.event_loop import request_idle_turn
from vivavoce.runtime.rate_limit import LoopShare

# --- the pace of reads ---------------------------------------------------------------------------

READ_SHARE = 0.1
"""Share of the event loop that reading from one connection may take."""

READ_BURST_S = 0.02
"""Time of reading at once without a pause: a picture of 20 MB."""

READ_YIELD_AFTER_S = 0.004
"""Part of the burst that is read without yielding; a microphone takes a tenth of it in a second."""

IDLE_TURN_READ_S = 0.00025
"""Time of reading in one idle turn of the loop; waiting for one takes 0.1 ms."""

MAX_READ_S = 0.0005
"""Time of one read; after a longer one, the next is smaller."""

MIN_READ_BYTES = 256
MIN_PAUSE_S = 0.01
"""Pause between reads, long enough that bytes arriving one by one are read together."""


class ReadPace:
    """Pacer of one connection's reads: limits their share of the event loop.

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
        self._share = LoopShare(READ_SHARE, processor_s, READ_BURST_S, READ_YIELD_AFTER_S)
        self._began = processor_s()
        self._since_turn_s = 0.0
        self._wait: asyncio.TimerHandle | asyncio.Future[None] | None = None

    def begin_read(self) -> None:
        """Start measuring a read, system time included."""
        self._began = self._processor_s()

    def end_read(self, count: int) -> None:
        """Count a read of `count` bytes, which ends now."""
        taken_s = self._processor_s() - self._began
        self._since_turn_s += taken_s
        self._share.count_work(taken_s)
        if taken_s > MAX_READ_S:
            # A read within a large frame may have been larger than all that are paced.
            quick = int(count * MAX_READ_S / taken_s)
            self.size = max(MIN_READ_BYTES, min(self._largest, quick))
        else:
            self.size = min(self._largest, 2 * self.size)

    def count_work(self, taken_s: float) -> float:
        """Count work that a read caused; return the seconds until the share recovers."""
        self._share.count_work(taken_s)
        return self._share.debt_s()

    @property
    def paused(self) -> bool:
        """True while the connection is not read."""
        return self._wait is not None

    def pause_reading(self, resume: Callable[[], None]) -> bool:
        """Return whether to stop reading until `resume` is called, in an idle turn of the loop.

        That is so after expensive reads, and for longer when the share is spent.
        """
        if self._wait is None:
            if wait_s := self._share.debt_s():
                wait_s += MIN_PAUSE_S
                self._wait = self._loop.call_later(wait_s, self._resume_when_idle, resume)
            elif self._share.should_yield and self._since_turn_s >= IDLE_TURN_READ_S:
                self._resume_when_idle(resume)
        return self.paused

    def close(self) -> None:
        """Cancel the timer that would resume reading."""
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None

    async def yield_to_loop(self) -> None:
        """Wait for an idle turn of the loop if recent reads were expensive."""
        await self._share.yield_to_loop()

    def _resume_when_idle(self, resume: Callable[[], None]) -> None:
        turn = self._wait = request_idle_turn()
        turn.add_done_callback(partial(self._go_on, resume))

    def _go_on(self, resume: Callable[[], None], turn: asyncio.Future[None]) -> None:
        if not turn.cancelled():
            self._wait, self._since_turn_s = None, 0.0
            resume()


# --- large frames --------------------------------------------------------------------------------

FRAGMENT_BYTES = 64 * 1024

_HEAD = struct.Struct("!BBQ4s")
_FINAL, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED_64_BIT = 0x80 | 127
_SPLIT = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)


class FrameSplitter(StreamReader):
    """Stream reader that passes large masked frames to the parser as small fragments.

    The parser of `websockets` unmasks a frame at once, and copies it twice: 20 ms for a picture of
    20 MB, in which the event loop serves no one else. A frame and its fragments mean the same, and
    fragments share a mask where their lengths are multiples of its four bytes: so only headers are
    written. The parser itself refuses frames above `largest` bytes by their header.

    `left` counts the bytes of the present large frame that the parser has not had, `missing` those
    of any frame that have not arrived.
    """

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.left = 0
        self._wanted = 0
        self._largest = largest
        self._final = 0
        self._mask = b""

    def at_eof(self) -> Generator[None, None, bool]:
        """Return whether the stream has ended; the parser asks before each frame."""
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

    @property
    def missing(self) -> int:
        """Bytes still to arrive of what the parser waits for; no other frame is among them."""
        return max(0, self._wanted - len(self.buffer))

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Yield until `n` bytes have arrived, and return them."""
        self._wanted = n
        found = yield from super().read_exact(n)
        self._wanted = 0
        return found

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
        """Insert the header of the next fragment before the bytes that have arrived of it."""
        length = min(self.left, FRAGMENT_BYTES)
        self.left -= length
        final = 0 if self.left else self._final
        self.buffer[:0] = _HEAD.pack(final | opcode, _MASKED_64_BIT, length, self._mask)

    def discard(self) -> None:
        """Discard the bytes that have arrived, and the rest of their frame."""
        super().discard()
        self.left = 0


# --- freed memory --------------------------------------------------------------------------------

TRIM_AFTER_BYTES = 1024 * 1024
"""Received bytes of a connection from which on freed memory is returned."""

TRIM_DELAY_S = 5.0
"""Delay after such a connection: what its session held is freed by then, and one call serves many
connections. It takes a fifth of a millisecond for each megabyte, in a thread."""

_expected: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def return_memory_later(loop: asyncio.AbstractEventLoop) -> None:
    """Schedule the return of freed memory to the system, unless that is scheduled already.

    glibc keeps freed blocks of less than 128 KiB wherever a used one lies above them, and large
    messages arrive in such blocks: of 160 MB in eight unfinished ones, 120 stayed in the process.
    """
    if loop not in _expected:
        _expected.add(loop)
        loop.call_later(TRIM_DELAY_S, _return_memory, loop)


def _return_memory(loop: asyncio.AbstractEventLoop) -> None:
    _expected.discard(loop)
    loop.run_in_executor(None, trim_heap)


def trim_heap() -> bool:
    """Return free pages of the C heap to the system; false if the C library can't."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(trim(0))


# --- the protocol --------------------------------------------------------------------------------

LINGER_S = 2.0
QUIET_S = 0.2
NOTHING = memoryview(b"")
DISCARDED = memoryview(bytearray(64 * 1024))
"""The buffer of all connections for bytes that are discarded."""

logging.getLogger("uvicorn.error").addFilter(LineRateLimit())


class BoundedProtocol(asyncio.BufferedProtocol):
    """Base protocol that reads in small pieces within limits, and closes without a TCP reset.

    A connection that is closed with unread data in it is reset, and the client never reads the
    answer. So what a client goes on sending is discarded until it is quiet for `QUIET_S`, at most
    for `LINGER_S`.
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
        self.pace.begin_read()
        if self.lingering:
            return DISCARDED
        # A view, since asyncio's TLS writes into slices of it.
        self._buffer = memoryview(bytearray(self.read_size))
        return self._buffer

    @property
    def read_size(self) -> int:
        """Bytes to read at a time, before the event loop serves others."""
        return self.pace.size

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        data, self._buffer = bytes(self._buffer[:nbytes]), NOTHING
        if self.lingering:
            self.linger()
        else:
            self.data_received(data)
        self.pace.end_read(nbytes)
        if self._is_connected() and self.pace.pause_reading(self._read_on):
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self._is_connected() and (self.lingering or self.is_ready_for_data()):
            self.transport.resume_reading()

    def _is_connected(self) -> bool:
        return self.transport.get_protocol() is self and not self.transport.is_closing()

    def is_ready_for_data(self) -> bool:
        """Return whether the parser has consumed the bytes that were read before."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        raise NotImplementedError

    @property
    def lingering(self) -> bool:
        """True while arriving bytes are discarded, and the connection is about to close."""
        return self._quiet is not None

    def linger(self) -> None:
        """Discard received bytes, and close once the client is quiet."""
        if self._quiet is not None:
            self._quiet.cancel()
        else:
            self.transport.resume_reading()
            self.slot.reset_bytes()
        self._quiet = self.loop.call_later(QUIET_S, self.transport.close)
        self.abort_after(LINGER_S)

    def abort_after(self, wait_s: float) -> None:
        """Abort the connection after a delay: a close waits for output that may never be read."""
        if self._cut is None:
            self._cut = self.loop.call_later(wait_s, self.transport.abort)

    def set_deadline(self, wait_s: float) -> None:
        """Abort the connection after a delay, unless `clear_deadline` comes first."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(wait_s, self.transport.abort)

    def clear_deadline(self) -> None:
        """Cancel the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def release_connection(self) -> None:
        """Release the slot, timers and memory of a lost connection."""
        self.clear_deadline()
        self.pace.close()
        for timer in (self._quiet, self._cut):
            if timer is not None:
                timer.cancel()
        self.slot.release()
        if self._received > TRIM_AFTER_BYTES:
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
    """Return the response to a request whose head exceeds the limit."""
    return http_refusal(431, "request header fields too large")
