"""Event-loop scheduling: yield until the loop is idle, decode in a thread, measure the lag."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from vivavoce.runtime.tasks import PeriodicTask

T = TypeVar("T")

# --- idle turns -------------------------------------------------------------------------------

MAX_WAIT_S = 0.005
"""Longest wait for an idle turn while the loop is busy. Those that wait share it:
a hundred new ones wait for a hundred steps of the loop, and not for half a second."""


async def idle_turn() -> None:
    """Return when nothing else is ready on the running loop, or after `MAX_WAIT_S` and a step
    of the loop for each piece of work that asked before."""
    await request_idle_turn()


def request_idle_turn() -> asyncio.Future[None]:
    """Return a future that is done in an idle turn of the running loop, as in `idle_turn`."""
    return _queues.setdefault(asyncio.get_running_loop(), IdleTurns()).request_turn()


class IdleTurns:
    """Turns of one event loop in which nothing else is ready, given in the order of the requests.

    Work that can wait asks for one before each of its pieces. So it delays everything else by one
    piece at most, and on an idle server it does not wait at all.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def request_turn(self) -> asyncio.Future[None]:
        """Return a future that completes in an idle turn of its own, unless it is cancelled."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if self._task is None:
            self._task = loop.create_task(self._give_turns(), name="idle turns")
        return turn

    async def _give_turns(self) -> None:
        try:
            while self._waiting:
                await _idle(MAX_WAIT_S / len(self._waiting))
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


# --- long reads -------------------------------------------------------------------------------

_DECODER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")


async def run_in_decoder(work: Callable[[], T]) -> T:
    """Run `work` in the decoder thread, for messages that would block the event loop too long.

    There is one for all connections: such messages wait for each other, and hold nothing else up.
    Reading them is Python, so the thread gives way to the event loop as it goes.
    """
    return await asyncio.get_running_loop().run_in_executor(_DECODER, work)


# --- lag --------------------------------------------------------------------------------------

INTERVAL_S = 0.05
WINDOW_S = 15.0
"""Time for which a delay is reported, at least: longer than two scrapes are apart."""


class LoopLag:
    """The worst delay of the present event loop in the last `WINDOW_S` to twice that, in seconds.

    A timer that is due every `INTERVAL_S` measures how late it comes. A piece of work that holds
    the loop for longer than that shows with the greater part of its length. `start` and `aclose`
    once each.
    """

    def __init__(self) -> None:
        self._present = self._former = 0.0
        self._due = self._shift_at = 0.0
        self._measurement = PeriodicTask("loop lag", INTERVAL_S, self._measure)

    @property
    def worst_s(self) -> float:
        """Longest delay of a due timer in the window, in seconds."""
        return max(self._present, self._former)

    def start(self) -> None:
        """Start measuring."""
        now = asyncio.get_running_loop().time()
        self._due, self._shift_at = now + INTERVAL_S, now + WINDOW_S
        self._measurement.start()

    async def aclose(self) -> None:
        """Stop measuring."""
        await self._measurement.aclose()

    async def _measure(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._shift_at:
            self._former, self._present = self._present, 0.0
            self._shift_at = now + WINDOW_S
        self._present = max(self._present, now - self._due)
        self._due = now + INTERVAL_S
