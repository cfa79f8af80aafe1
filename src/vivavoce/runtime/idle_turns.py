"""Turns of the event loop in which nothing else is ready to run.

Work that can wait asks for such a turn before each of its pieces. So it delays everything else by
one piece at most, and on an idle server it does not wait at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

LONGEST_WAIT_S = 0.005
"""After so long a piece of work gets its turn although the loop is busy. Those that wait share it:
a hundred newcomers wait for a hundred steps of the loop, and not for half a second."""


async def idle_turn() -> None:
    """Return when nothing else is ready on the running loop, or after `LONGEST_WAIT_S` and a step
    of the loop for each piece of work that asked before."""
    loop = asyncio.get_running_loop()
    await _queues.setdefault(loop, IdleTurns()).wait()


class IdleTurns:
    """The idle turns of one event loop, given in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Wait for an idle turn of one's own."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if self._task is None:
            self._task = loop.create_task(self._give_turns(), name="idle turns")
        await turn

    async def _give_turns(self) -> None:
        try:
            while self._waiting:
                await _idle(LONGEST_WAIT_S / len(self._waiting))
                turn = self._waiting.popleft()
                if not turn.done():  # else its task was cancelled
                    turn.set_result(None)
                    await asyncio.sleep(0)
        finally:
            self._task = None
            for turn in self._waiting:
                turn.cancel()


async def _idle(longest_s: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + longest_s
    while True:
        await asyncio.sleep(0)  # what the selector has found is behind this in the queue
        if not getattr(loop, "_ready", ()) or loop.time() >= until:
            return


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, IdleTurns] = WeakKeyDictionary()
