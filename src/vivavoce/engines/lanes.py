"""Bounded worker threads for blocking engines. Nothing else in this tree calls an executor.

A lane belongs to one engine. Work gets a `CancelToken` and looks at it between chunks: when
the awaiting task is cancelled, the token is set and the task leaves at once; the thread
follows when it looks. Nobody waits for it, because correctness does not depend on it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vivavoce.errors import EngineBusy

T = TypeVar("T")


class CancelToken:
    """Says to a worker thread that nobody wants the rest."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


class Lane:
    """`workers` threads, and at most `queue` jobs waiting for one; more are refused."""

    def __init__(self, engine: str, workers: int = 1, queue: int = 64) -> None:
        self.engine = engine
        self.workers = workers
        self.waiting = 0
        self.running = 0
        self.abandoned = 0
        self._queue = queue
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"lane-{engine}")

    @property
    def idle(self) -> bool:
        """Whether a job given now would start now."""
        return self.waiting == 0 and self.running < self.workers

    async def run(self, work: Callable[[CancelToken], T]) -> T:
        """The result of `work`, done in a thread. Raises `EngineBusy` when the queue is full."""
        if self.waiting >= self._queue:
            raise EngineBusy(self.engine, f"{self.waiting} jobs are waiting already.")
        token = CancelToken()
        self.waiting += 1
        loop = asyncio.get_running_loop()
        started = False

        def begin() -> None:
            nonlocal started
            started = True
            self.waiting -= 1
            self.running += 1

        def end() -> None:
            self.running -= 1
            if token.cancelled:
                self.abandoned -= 1

        def job() -> T:
            _tell(loop, begin)
            try:
                return work(token)
            finally:
                _tell(loop, end)

        future = self._pool.submit(job)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            token.cancel()
            if future.cancelled() and not started:
                self.waiting -= 1
            else:
                self.abandoned += 1
            raise

    async def stream(
        self, work: Callable[[CancelToken, Callable[[T], None]], None]
    ) -> AsyncIterator[T]:
        """What `work` puts, as it puts it. Leaving early sets the token.

        The queue between thread and loop is bounded by what one generation can produce.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

        def put(item: T) -> None:
            _tell(loop, lambda: items.put_nowait((item,)))

        def job(token: CancelToken) -> None:
            try:
                work(token, put)
            finally:
                _tell(loop, lambda: items.put_nowait(None))

        worker = asyncio.ensure_future(self.run(job))
        worker.add_done_callback(lambda _: items.put_nowait(None))
        try:
            while (item := await items.get()) is not None:
                yield item[0]
            await worker
        finally:
            worker.cancel()

    def close(self) -> None:
        """No more work; threads end by themselves when they have finished."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    """Have the loop do it, unless the loop is gone: then there is nobody to tell."""
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        if not loop.is_closed():
            raise
