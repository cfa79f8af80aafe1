"""Engine work that a connection has sent for, and the ladder by which it is called back.

Every other task of a connection belongs to its `TaskGroup`. Engine work does not, because a
group waits for its tasks, and an engine may swallow cancellation: nobody waits for an errand.
A task that is still alive `CANCEL_TIMEOUT_S` after it was called back is logged with the engine's
part and counted; the core dropped it long before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from vivavoce.errors import EXITS

log = logging.getLogger(__name__)

CANCEL_TIMEOUT_S = 2.0


class EngineTasks:
    """The engine tasks of one connection."""

    uncancelled_total = 0
    """Tasks of the whole process that outlived their cancellation by `CANCEL_TIMEOUT_S`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start_task(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin `work`, which handles its own failures."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel_task(self, task: asyncio.Task[None]) -> None:
        """Nobody wants the rest. Returns at once."""
        if task.done():
            return
        again = task.cancelling() > 0
        task.cancel()
        if again:
            return
        asyncio.get_running_loop().call_later(CANCEL_TIMEOUT_S, _count_if_running, task)

    async def aclose(self) -> None:
        """Call everybody back, and give the polite ones time to leave."""
        for task in tuple(self._tasks):
            self.cancel_task(task)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_TIMEOUT_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("engine task failed", extra={"task": task.get_name()}, exc_info=failure)


def is_end(failure: BaseException) -> bool:
    """Whether `failure` ends the calling task or the process, and is none of an engine's.

    A cancellation that was not asked for is one: something inside the engine cancelled itself.
    """
    if isinstance(failure, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(failure, EXITS)


def _count_if_running(task: asyncio.Task[None]) -> None:
    if not task.done():
        EngineTasks.uncancelled_total += 1
        log.warning("engine ignores cancellation", extra={"task": task.get_name()})


class EngineTimeout:
    """Calls back when an engine has been silent for too long.

    A timer and not `asyncio.timeout`, which cancels and then waits: a stubborn engine would
    keep the failure from ever being noticed. Holds what it calls only while it watches, so that
    its owner is freed with its last reference.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._timer: asyncio.TimerHandle | None = None

    def start_timer(self, on_timeout: Callable[[], None]) -> None:
        """Call `on_timeout` when the engine has taken too long, from now on."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._patience_s, on_timeout)

    def stop_timer(self) -> None:
        """The engine waits for us: nothing is held against it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
