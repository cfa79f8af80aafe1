"""Virtual time: it jumps when nobody has anything to do, and waits for threads."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from vivavoce.testing.virtual_loop import VirtualTimeStuck, run_virtually


def test_an_hour_passes_at_once() -> None:
    async def run() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtually(run()) == pytest.approx(3600)
    assert time.monotonic() - began < 5


def test_things_happen_in_the_order_of_their_times() -> None:
    async def run() -> list[str]:
        order: list[str] = []

        async def happen(name: str, at: float) -> None:
            await asyncio.sleep(at)
            order.append(name)

        await asyncio.gather(happen("second", 2), happen("first", 1), happen("third", 3))
        return order

    assert run_virtually(run()) == ["first", "second", "third"]


def test_the_clock_stands_still_while_a_thread_is_at_work() -> None:
    async def run() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        go = threading.Event()
        loop.call_later(0.0, go.set)
        rang: list[float] = []
        loop.call_later(1.0, lambda: rang.append(loop.time()))
        await loop.run_in_executor(None, go.wait)
        return loop.time(), bool(rang)

    now, rang = run_virtually(run())
    assert now < 0.01
    assert not rang


def test_waiting_for_ever_is_an_error_and_not_a_hang() -> None:
    async def run() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(VirtualTimeStuck):
        run_virtually(run())


def test_timeouts_work() -> None:
    async def run() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == pytest.approx(10)
