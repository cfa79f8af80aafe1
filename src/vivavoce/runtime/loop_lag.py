"""How late the event loop runs what is due: what one piece of work costs all conversations.

A timer that is due every `INTERVAL_S` measures how late it comes. A piece of work that holds the
loop for longer than that shows with the greater part of its length.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

INTERVAL_S = 0.05
WINDOW_S = 15.0
"""A delay is reported for so long to twice as long: longer than two scrapes are apart."""


class LoopLag:
    """The worst delay of the present event loop in the last `WINDOW_S` to twice that, in seconds.

    `start` and `aclose` once each.
    """

    def __init__(self) -> None:
        self._present = self._former = 0.0
        self._shift_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def worst_s(self) -> float:
        """The longest that something due had to wait."""
        return max(self._present, self._former)

    def start(self) -> None:
        """Begin to measure."""
        self._task = asyncio.get_running_loop().create_task(self._measure(), name="loop lag")

    async def aclose(self) -> None:
        """Measure no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        self._shift_at = loop.time() + WINDOW_S
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now = loop.time()
            if now >= self._shift_at:
                self._former, self._present = self._present, 0.0
                self._shift_at = now + WINDOW_S
            self._present = max(self._present, now - due)
