"""Start and cancel engine tasks, time out silent engines, and run periodic tasks.

Every other task of a connection belongs to its `TaskGroup`. Engine tasks do not, because a group
waits for its tasks, and an engine may swallow cancellation. A task that is still alive
`CANCEL_TIMEOUT_S` after it was cancelled is logged and counted; the core dropped it long before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from vivavoce.errors import EXITS

log = logging.getLogger(__name__)

CANCEL_TIMEOUT_S = 2.0


class EngineTasks:
    """Set of one connection's engine tasks, each cancelled without waiting for it."""

    uncancelled_total = 0
    """Number of tasks in the process that ran on `CANCEL_TIMEOUT_S` after their cancellation."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start_task(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start `work`, which handles its own failures."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel_task(self, task: asyncio.Task[None]) -> None:
        """Cancel a task, without waiting for its end."""
        if task.done():
            return
        again = task.cancelling() > 0
        task.cancel()
        if again:
            return
        asyncio.get_running_loop().call_later(CANCEL_TIMEOUT_S, _count_if_running, task)

    async def aclose(self) -> None:
        """Cancel all tasks, and give them time to end."""
        for task in tuple(self._tasks):
            self.cancel_task(task)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_TIMEOUT_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("engine task failed", extra={"task": task.get_name()}, exc_info=failure)


def is_end(failure: BaseException) -> bool:
    """Return whether `failure` means cancellation of the calling task or the process's end.

    Any other failure is an engine's own.

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
    """Timer that calls a function when an engine has been silent for too long.

    Not `asyncio.timeout`, which cancels and then waits: an engine that swallows cancellation would
    keep the failure from being noticed. It holds the function only while it runs, so that its owner
    is freed with its last reference.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def start_timer(self, on_timeout: Callable[[], None]) -> None:
        """Start or restart the timer."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, on_timeout)

    def stop_timer(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PeriodicTask:
    """Task that awaits `work` every `interval_s`; call `start` and `aclose` once each."""

    def __init__(self, name: str, interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._interval_s = interval_s
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task; `work` first runs after one interval."""
        self._task = asyncio.get_running_loop().create_task(self._repeat(), name=self._name)

    async def aclose(self) -> None:
        """Cancel the task, even in the middle of `work`."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._work()
            except Exception:
                log.exception("periodic task failed", extra={"task": self._name})
