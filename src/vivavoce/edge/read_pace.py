"""Rate limit on the frames of one WebSocket, whatever is in them.

Pings, fragments and bytes that arrive one by one never reach a conversation, whose own limits are
in `runtime.rate_limit`, and cost the event loop as much as messages do. A client that sends more
of them is not read for a moment, as there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vivavoce.runtime.rate_limit import TokenBucket

FRAMES_PER_S = 8000.0
"""At ten microseconds each, a twelfth of the event loop. The most fragments that a message may have
(65,536) are read in eight seconds; a picture of 20 MB comes in 1,200 frames of 16 KiB."""

FRAMES_AT_ONCE = 1000.0
TWICE = 2
"""What a ping counts, which is answered, and a read of less than `SMALL_READ` bytes."""

SMALL_READ = 64
"""No message of the protocol is as short."""

FEW_FRAMES = 64
"""In a read; after one with more, less is read at a time, so that others get their turn sooner."""


class ReadPace:
    """Pauses in the reading of one connection, to which no reference is held in between."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bucket = TokenBucket(FRAMES_PER_S, FRAMES_AT_ONCE)
        self._frames = 0
        self.crowded = False
        """Whether the last read held more than a few frames."""
        self._timer: asyncio.TimerHandle | None = None

    def count_frame(self, times: int = 1) -> None:
        """Count a frame that carries no whole message: a ping, a pong, a fragment."""
        self._frames += times

    def pauses(self, size: int, resume: Callable[[], None]) -> bool:
        """Whether to read no further, after a read of `size` bytes, until `resume` is called."""
        frames, self._frames = self._frames, 0
        self.crowded = frames > FEW_FRAMES
        if size < SMALL_READ:
            frames += TWICE
        wait_s = self._bucket.take(frames, self._loop.time())
        if wait_s and self._timer is None:
            self._timer = self._loop.call_later(wait_s, self._go_on, resume)
        return self._timer is not None

    def close(self) -> None:
        """Stop the timer that would resume reading."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self, resume: Callable[[], None]) -> None:
        self._timer = None
        resume()
