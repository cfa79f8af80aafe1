"""Engine work that may refuse to end: called back, waited for a little, never longer."""

from __future__ import annotations

import asyncio

import pytest

from vivavoce.runtime.tasks import CANCEL_TIMEOUT_S, EngineTasks, EngineTimeout, PeriodicTask
from vivavoce.testing.virtual_loop import run_virtually


async def polite() -> None:
    await asyncio.sleep(100)


async def stubborn() -> None:
    end = asyncio.get_running_loop().time() + 100
    while (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def test_polite_work_leaves_at_once() -> None:
    async def run() -> None:
        engine_tasks = EngineTasks()
        task = engine_tasks.start_task("polite", polite())
        await asyncio.sleep(1)
        await engine_tasks.aclose()
        assert task.cancelled()
        assert asyncio.get_running_loop().time() == 1.0

    run_virtually(run())


def test_stubborn_work_is_waited_for_a_little_logged_and_counted_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = EngineTasks.uncancelled_total

    async def run() -> None:
        engine_tasks = EngineTasks()
        task = engine_tasks.start_task("generation 7", stubborn())
        await asyncio.sleep(0)
        engine_tasks.cancel_task(task)
        await engine_tasks.aclose()
        assert asyncio.get_running_loop().time() == pytest.approx(CANCEL_TIMEOUT_S)
        await asyncio.sleep(200)

    run_virtually(run())
    assert EngineTasks.uncancelled_total == before + 1
    assert [vars(each)["task"] for each in caplog.records] == ["generation 7"]


def test_work_that_fails_is_logged_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        engine_tasks = EngineTasks()
        engine_tasks.start_task("broken", broken())
        await asyncio.sleep(1)
        await engine_tasks.aclose()

    run_virtually(run())
    assert "ZeroDivisionError" in caplog.text


def test_a_watchdog_calls_back_when_it_watched_for_too_long_and_only_then() -> None:
    async def run() -> list[float]:
        calls: list[float] = []
        loop = asyncio.get_running_loop()
        dog = EngineTimeout(10.0)

        def on_timeout() -> None:
            calls.append(loop.time())

        dog.start_timer(on_timeout)
        await asyncio.sleep(9)
        dog.start_timer(on_timeout)
        await asyncio.sleep(9)
        dog.stop_timer()
        await asyncio.sleep(100)
        dog.start_timer(on_timeout)
        await asyncio.sleep(11)
        return calls

    assert run_virtually(run()) == [pytest.approx(128.0)]


def test_a_periodic_task_goes_on_after_a_failure_until_it_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> list[float]:
        loop, times = asyncio.get_running_loop(), []

        async def work() -> None:
            times.append(loop.time())
            if len(times) == 2:
                raise ValueError("a bug")
            if len(times) == 3:
                await asyncio.sleep(100)

        periodic = PeriodicTask("test", 5.0, work)
        await periodic.aclose()
        periodic.start()
        await asyncio.sleep(17)
        await periodic.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return times

    assert run_virtually(run()) == [5.0, 10.0, 15.0]
    assert [vars(each)["task"] for each in caplog.records] == ["test"]
