"""Worker threads: bounded, abandoned without waiting, replaced when they hang."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any

import pytest

from vivavoce.engines.workers import REPLACE_AFTER_S, CancelToken, WorkerPool
from vivavoce.errors import EngineBusy, EngineError
from vivavoce.testing.virtual_loop import run_virtually


async def test_work_is_done_in_a_thread_of_the_lane() -> None:
    workers = WorkerPool("engine")
    name = await workers.run(lambda _: threading.current_thread().name)
    assert name.startswith("worker-engine")
    assert (workers.waiting, workers.running, workers.abandoned) == (0, 0, 0)
    workers.close()


async def test_what_work_raises_reaches_the_caller_and_the_lane_lives_on() -> None:
    workers = WorkerPool("engine")

    def broken(_: CancelToken) -> None:
        raise EngineError("engine", "no")

    with pytest.raises(EngineError):
        await workers.run(broken)
    assert await workers.run(lambda _: 1) == 1
    workers.close()


async def test_a_full_queue_refuses() -> None:
    workers = WorkerPool("engine", workers=1, queue=1)
    go = threading.Event()
    began = threading.Event()

    def first(_: CancelToken) -> None:
        began.set()
        go.wait(5)

    running = asyncio.ensure_future(workers.run(first))
    await asyncio.to_thread(began.wait, 5)
    busy = not workers.idle
    waiting = asyncio.ensure_future(workers.run(lambda _: 2))
    await asyncio.sleep(0)
    with pytest.raises(EngineBusy):
        await workers.run(lambda _: 3)
    go.set()
    assert await waiting == 2
    await running
    assert busy
    assert workers.idle
    workers.close()


async def test_a_cancelled_caller_leaves_at_once_and_the_thread_follows() -> None:
    workers = WorkerPool("engine")
    began, followed = threading.Event(), threading.Event()

    def work(token: CancelToken) -> None:
        began.set()
        while not token.cancelled:
            pass
        followed.set()

    caller = asyncio.ensure_future(workers.run(work))
    await asyncio.to_thread(began.wait, 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await asyncio.to_thread(followed.wait, 5)
    assert await workers.run(lambda _: 1) == 1
    assert (workers.waiting, workers.running, workers.abandoned) == (0, 0, 0)
    workers.close()


async def test_cancelled_work_is_never_begun() -> None:
    workers = WorkerPool("engine", workers=1)
    go, done = threading.Event(), []
    first = asyncio.ensure_future(workers.run(lambda _: go.wait(5)))
    second = asyncio.ensure_future(workers.run(lambda _: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    go.set()
    await first
    assert await workers.run(lambda _: 1) == 1
    assert done == []
    assert workers.waiting == 0
    workers.close()


def test_a_stuck_thread_is_replaced() -> None:
    workers = WorkerPool("engine", workers=1)
    back, began = threading.Event(), threading.Event()
    # Only ends the test when nothing replaces the thread: the job below then comes after it.
    patience = threading.Timer(10, back.set)

    def stuck(_: CancelToken) -> None:
        began.set()
        back.wait()

    async def conversation() -> bool:
        loop = asyncio.get_running_loop()
        caller = loop.create_task(workers.run(stuck))
        await loop.run_in_executor(None, began.wait, 5)
        caller.cancel()
        await asyncio.wait({caller})
        await asyncio.sleep(REPLACE_AFTER_S + 1)
        return await workers.run(lambda _: back.is_set())

    patience.start()
    freed_before = run_virtually(conversation())
    assert not freed_before, "the job waited for the stuck thread"
    assert (workers.replaced, workers.abandoned) == (1, 1)
    assert workers.idle
    patience.cancel()
    back.set()
    workers.close()


def test_a_stuck_thread_that_comes_back_ends_because_its_place_is_taken() -> None:
    workers = WorkerPool("engine", workers=1)
    back, began = threading.Event(), threading.Event()
    first: list[threading.Thread] = []

    def stuck(_: CancelToken) -> None:
        first.append(threading.current_thread())
        began.set()
        back.wait()

    async def conversation() -> None:
        loop = asyncio.get_running_loop()
        caller = loop.create_task(workers.run(stuck))
        await loop.run_in_executor(None, began.wait, 5)
        caller.cancel()
        await asyncio.wait({caller})
        await asyncio.sleep(REPLACE_AFTER_S + 1)
        assert workers.replaced == 1

        def last(_: CancelToken) -> None:
            # Back while another job runs: the freed thread would take the next one beside it.
            back.set()
            first[0].join(5)

        await workers.run(last)

    run_virtually(conversation())
    assert not first[0].is_alive()
    assert (workers.replaced, workers.abandoned, workers.running) == (0, 0, 0)
    assert workers.idle
    workers.close()


async def test_a_stream_gives_what_work_puts_in_order_and_then_its_failure() -> None:
    workers = WorkerPool("engine")

    def count(_: CancelToken, put: Any) -> None:
        for number in range(100):
            put(number)
        raise EngineError("engine", "no")

    seen: list[int] = []

    async def read() -> None:
        async for number in workers.stream(count):
            seen.append(number)

    with pytest.raises(EngineError):
        await read()
    assert seen == list(range(100))
    workers.close()


async def test_leaving_a_stream_early_tells_the_thread() -> None:
    workers = WorkerPool("engine")
    told = threading.Event()

    def count(token: CancelToken, put: Any) -> None:
        put(1)
        while not token.cancelled:
            pass
        told.set()

    numbers: Any = workers.stream(count)
    async with aclosing(numbers):
        async for _ in numbers:
            break
    assert await asyncio.to_thread(told.wait, 5)
    workers.close()
