"""Batch requests of many sessions into one engine call; run single calls inline while cheap.

Requests that wait while a worker is busy form the next batch. There is no window and no timer: an
idle server adds no delay, a busy one forms larger batches by itself.

At low load a thread hand-over costs more than the work itself (two context switches against
0.15 ms for a Silero frame), so a call that can't block may be made on the event loop, within a
budget: a share of the loop's time, charged with the time that each call took. A burst, many
sessions or a heavy engine overdraw the budget and go to the worker pool, where they are batched.

A call in a worker has a time limit. One that exceeds it fails its requests, and the next one is
made in another thread. A batch that fails is tried again one by one, so that the input of one
client fails no other client.

Measured with Silero on two busy cores (`benchmarks/detection.py`), CPU for each frame: 16
sessions 423 us on the loop, 545 in a thread, 401 by budget; 64 sessions 237, 186 and 161, with
the loop late by 122, 9 and 12 ms (99th percentile).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EXITS, EngineError

Q = TypeVar("Q")
R = TypeVar("R")

log = logging.getLogger(__name__)

INLINE_SHARE = 0.15
"""Share of the loop's time that calls on the loop may take."""

INLINE_BURST_S = 0.003
"""Largest burst of inline time, so that no session waits behind it."""

CALL_S = 2.0
"""Time limit of one call in the worker pool."""

MAX_STUCK = 3
"""Threads that may hang at a time; beyond them requests fail without being tried."""


class Batcher(Generic[Q, R]):
    """Joins the requests of many sessions into calls of `score`, at most `cap` in one.

    `score` gets a batch and gives one result for each request; it is never called twice at
    the same time, unless a call hangs. `inline_share` 0 keeps every call in the worker pool.
    """

    def __init__(
        self,
        engine: str,
        score: Callable[[Sequence[Q]], Sequence[R]],
        *,
        cap: int = 32,
        inline_share: float = INLINE_SHARE,
        call_s: float = CALL_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.calls = 0
        self.scored = 0
        self._engine = engine
        self._score = score
        self._cap = cap
        self._call_s = call_s
        self._workers = self._new_pool()
        self._stuck: list[WorkerPool] = []
        self._waiting: deque[tuple[Q, asyncio.Future[R]]] = deque()
        self._call: asyncio.Task[None] | None = None
        self._share = inline_share
        self._clock = clock
        self._credit = INLINE_BURST_S if inline_share else 0.0
        self._credited = clock()

    @property
    def waiting(self) -> int:
        """Number of requests that are in no call yet."""
        return len(self._waiting)

    @property
    def takes_inline(self) -> bool:
        """Return whether `run_inline` may be called now: the budget lasts, and no call is made."""
        return self._call is None and self._within_budget()

    async def submit(self, request: Q) -> R:
        """Return the result for one request.

        Raises `EngineError` for whatever `score` raises, and when it gives no result in time.
        """
        if self.takes_inline:
            return self.run_inline(request)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._call is None:
            self._call = asyncio.get_running_loop().create_task(self._work())
        return await future

    def run_inline(self, request: Q) -> R:
        """Return the result for one request by a call in this thread, charged to the budget.

        Raises `EngineError` for whatever `score` raises.
        """
        began = self._clock()
        try:
            (result,) = self._results([request])
        finally:
            self._credit -= self._clock() - began
        if isinstance(result, EngineError):
            raise result
        self.calls += 1
        self.scored += 1
        return result

    def close(self) -> None:
        """Cancel all requests, and accept no more."""
        if self._call is not None:
            self._call.cancel()
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._workers.close()

    def _new_pool(self) -> WorkerPool:
        return WorkerPool(self._engine, workers=1, queue=4)

    def _within_budget(self) -> bool:
        now = self._clock()
        earned = (now - self._credited) * self._share
        self._credit = min(INLINE_BURST_S, self._credit + earned)
        self._credited = now
        return self._credit > 0

    async def _work(self) -> None:
        """Serve until no request waits. Owned by the batcher; it ends by itself or by `close`."""
        try:
            while self._waiting:
                size = min(self._cap, len(self._waiting))
                await self._serve([self._waiting.popleft() for _ in range(size)])
        finally:
            self._call = None

    async def _serve(self, batch: list[tuple[Q, asyncio.Future[R]]]) -> None:
        # The request of a client that is gone costs nothing.
        batch = [(request, future) for request, future in batch if not future.done()]
        if not batch:
            return
        try:
            results = await self._in_thread([request for request, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        self.calls += 1
        self.scored += len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, EngineError):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _in_thread(self, requests: list[Q]) -> Sequence[R | EngineError]:
        self._stuck = [pool for pool in self._stuck if pool.abandoned]
        if len(self._stuck) >= MAX_STUCK:
            return [EngineError(self._engine, "hangs in all its threads")] * len(requests)

        def work(_: CancelToken) -> Sequence[R | EngineError]:
            return self._results(requests)

        try:
            async with asyncio.timeout(self._call_s):
                return await self._workers.run(work)
        except TimeoutError:
            log.error("engine call hangs", extra={"engine": self._engine})
            self._workers.close()
            self._stuck.append(self._workers)
            self._workers = self._new_pool()
            problem = f"no result within {self._call_s:g} s"
            return [EngineError(self._engine, problem)] * len(requests)

    def _results(self, requests: Sequence[Q]) -> Sequence[R | EngineError]:
        """Return the result, or the error, of each request."""
        try:
            results = self._score(requests)
            if len(results) == len(requests):
                return results
            failure = EngineError(
                self._engine, f"{len(results)} results for {len(requests)} requests"
            )
        except EXITS:
            raise
        except EngineError as error:
            failure = error
        except BaseException as error:
            failure = EngineError(self._engine, f"broke down ({type(error).__name__})")
            failure.__cause__ = error
        if len(requests) == 1:
            return [failure]
        return [self._results([request])[0] for request in requests]
