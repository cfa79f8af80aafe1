"""Event loop for tests whose clock jumps to the next timer instead of waiting.

When nothing is ready, the clock jumps to the next timer instead of waiting for it, so a
minute of conversation takes milliseconds and two runs agree to the microsecond. Work in
threads (worker pools) is waited for in real time, during which the clock stands still.

    with virtual_loop() as loop:
        loop.run_until_complete(conversation())
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


THREAD_TIMEOUT_S = 60.0
"""Limit of one call in a thread, in real seconds."""


class VirtualTimeStuck(Exception):
    """Deadlock: all tasks wait and no timer is set."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that advances the loop's clock where it would have slept."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.pending_thread_calls:
            # A thread is at work: it will wake the loop through its own pipe.
            if woken := super().select(THREAD_TIMEOUT_S):
                return list(woken)
            raise VirtualTimeStuck(f"a thread has been at work for {THREAD_TIMEOUT_S:.0f} s")
        if timeout is None:
            raise VirtualTimeStuck("nothing is ready, no timer is set and no thread is at work")
        self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop with a virtual clock. `pending_thread_calls` counts calls running in threads."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self.pending_thread_calls = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        # The loop rounds its timeouts; a step that is lost in the sum would spin for ever.
        self._virtual_now += max(seconds, 1e-6)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.pending_thread_calls += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self.pending_thread_calls -= 1


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """Context manager for a fresh virtual loop; cancels the tasks that are left at its end."""
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` like `asyncio.run`, in virtual time."""
    with virtual_loop() as loop:
        return loop.run_until_complete(main)
