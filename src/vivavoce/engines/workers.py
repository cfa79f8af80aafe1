"""Bounded worker threads for blocking engines: the only executor in this tree.

A pool belongs to one engine. Work gets a `CancelToken` and checks it between chunks: when the
awaiting task is cancelled, the token is set and the task ends at once; the thread follows at its
next check. It is not waited for: correctness does not depend on it.

A thread that still works `REPLACE_AFTER_S` later is counted, logged and replaced, so that one
hanging call costs a thread and not the engine; it ends once its call returns. Threads are daemons
for the same reason: a hanging one must not keep the process alive.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

from vivavoce.errors import EngineBusy

T = TypeVar("T")

REPLACE_AFTER_S = 10.0

log = logging.getLogger(__name__)


class CancelToken:
    """A flag by which a worker thread learns that its result is no longer needed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


class _Threads(Executor):
    """Daemon threads, started when first needed; `start_thread` replaces one that hangs."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._missing = count
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._started = 0
        self._closed = False
        self._mine = threading.local()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._closed:
            raise RuntimeError(f"The workers of {self._name} are closed.")
        future: Future[T] = Future()
        self._jobs.put((future, lambda: fn(*args, **kwargs)))
        if self._missing:
            self._missing -= 1
            self.start_thread()
        return future

    def start_thread(self) -> None:
        self._started += 1
        name = f"worker-{self._name}-{self._started}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def end_current_thread(self) -> None:
        """End the calling thread after its present job."""
        self._mine.leaving = True

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        self._closed = True
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        self._mine.leaving = False
        while not self._mine.leaving and (job := self._jobs.get()) is not None:
            future, act = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(act())
            except BaseException as failure:
                future.set_exception(failure)
            del future, act, job


class _Job:
    """State of one piece of work; changed under the pool's lock."""

    def __init__(self) -> None:
        self.token = CancelToken()
        self.started = False
        self.done = False
        self.replaced = False


class WorkerPool:
    """`workers` threads, and at most `queue` jobs waiting for one; more are refused.

    `waiting` and `running` count jobs that are awaited, `abandoned` those that still run after
    their task was cancelled, `replaced` the threads among those that were given up.
    """

    def __init__(self, engine: str, workers: int = 1, queue: int = 64) -> None:
        self.engine = engine
        self.workers = workers
        self.waiting = 0
        self.running = 0
        self.abandoned = 0
        self.replaced = 0
        self._queue = queue
        self._lock = threading.Lock()
        self._pool = _Threads(engine, workers)

    @property
    def idle(self) -> bool:
        """True if a job given now would start now."""
        return self.waiting == 0 and self.running + self.abandoned - self.replaced < self.workers

    async def run(self, work: Callable[[CancelToken], T]) -> T:
        """Run `work` in a thread; returns its result. Raises `EngineBusy` if the queue is full."""
        with self._lock:
            if self.waiting >= self._queue:
                raise EngineBusy(self.engine, f"{self.waiting} jobs are waiting already.")
            self.waiting += 1
        job = _Job()
        loop = asyncio.get_running_loop()
        # Through the loop and not the executor, so that a loop with its own clock knows that work
        # is going on in a thread.
        try:
            return await loop.run_in_executor(self._pool, self._perform, job, work)
        except asyncio.CancelledError:
            if self._abandon(job):
                loop.call_later(REPLACE_AFTER_S, self._look_after, job)
            raise

    def _perform(self, job: _Job, work: Callable[[CancelToken], T]) -> T:
        with self._lock:
            if job.token.cancelled:
                raise asyncio.CancelledError
            job.started = True
            self.waiting -= 1
            self.running += 1
        try:
            return work(job.token)
        finally:
            self._ended(job)

    def _ended(self, job: _Job) -> None:
        with self._lock:
            job.done = True
            if job.token.cancelled:
                self.abandoned -= 1
            else:
                self.running -= 1
            if job.replaced:
                self.replaced -= 1
                self._pool.end_current_thread()

    def _abandon(self, job: _Job) -> bool:
        """Cancel the job. Returns whether a thread is busy with it."""
        with self._lock:
            job.token.cancel()
            if not job.started:
                self.waiting -= 1
            elif not job.done:
                self.running -= 1
                self.abandoned += 1
                return True
        return False

    def _look_after(self, job: _Job) -> None:
        with self._lock:
            if job.done:
                return
            job.replaced = True
            self.replaced += 1
        log.error("engine thread hangs and was replaced", extra={"engine": self.engine})
        self._pool.start_thread()

    async def stream(
        self, work: Callable[[CancelToken, Callable[[T], None]], None]
    ) -> AsyncGenerator[T, None]:
        """Yield the items that `work` puts, while it runs. Closing the iterator sets the token.

        The queue between thread and loop is bounded by what one generation can produce.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

        def put(item: T) -> None:
            _call_in_loop(loop, lambda: items.put_nowait((item,)))

        # A group can't surround a yield, so the one task this needs is ended by hand below.
        worker = loop.create_task(self.run(lambda token: work(token, put)))

        def ended(task: asyncio.Task[None]) -> None:
            # After everything that the thread put: both came through the loop's own queue.
            items.put_nowait(None)
            if not task.cancelled():
                task.exception()  # raised below if the stream is still read

        worker.add_done_callback(ended)
        try:
            while (item := await items.get()) is not None:
                yield item[0]
            await worker
        finally:
            worker.cancel()

    def close(self) -> None:
        """Accept no more work; threads end when they have finished."""
        self._pool.shutdown(wait=False)


def _call_in_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    """Schedule `act` on the loop, unless the loop is closed."""
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        if not loop.is_closed():
            raise
