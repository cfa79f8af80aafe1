"""How much of one connection is read at a time, and when, whatever is in it.

Pings, fragments, tiny HTTP chunks and bytes that arrive one by one never reach a conversation,
whose own limits are in `runtime.rate_limit`, and cost the event loop as much as messages do. So the
time that reading takes is measured: a connection that takes more than its share is not read for a
moment, and what is read at a time becomes as small as it has to be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

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
