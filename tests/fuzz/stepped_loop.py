"""An event loop in virtual time that a function runs step by step, without a task of its own.

A layer runs thousands of connections a second. `run_until_complete` and the selector would take
as much of that time as the protocols do; with nothing but memory to read from, neither is needed.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _set_running_loop
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop
from typing import Any

from vivavoce.testing.virtual_loop import VirtualLoop


class SteppedLoop(VirtualLoop):
    """A loop whose callbacks run within `step`, `settle` and `pass_time`."""

    _ready: Any  # asyncio's own, of which typeshed says nothing
    _scheduled: list[Any]
    _timer_cancelled_count: int

    @contextmanager
    def running(self) -> Iterator[SteppedLoop]:
        """Be the running loop of this thread."""
        _set_running_loop(self)
        try:
            yield self
        finally:
            _set_running_loop(None)

    def step(self) -> None:
        """Run what is ready now: one iteration of an event loop."""
        ready = self._ready
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def settle(self) -> None:
        """Run what is ready, and what that makes ready, until only timers are left."""
        while self._ready:
            self.step()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, from timer to timer; what is ready runs first."""
        until, scheduled = self.time() + seconds, self._scheduled
        self.settle()
        while scheduled and scheduled[0]._when <= until:
            self._virtual_now = max(self._virtual_now, scheduled[0]._when)
            while scheduled and scheduled[0]._when <= self._virtual_now:
                timer = heappop(scheduled)
                timer._scheduled = False
                if timer._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    self._ready.append(timer)
            self.settle()
        self._virtual_now = until

    def end_tasks(self) -> None:
        """Cancel every task and close the loop."""
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.close()
