"""Work that waits for idle turns of the loop delays everything else by one piece at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from vivavoce.runtime import event_loop
from vivavoce.runtime.event_loop import INTERVAL_S, WINDOW_S, LoopLag, idle_turn
from vivavoce.runtime.rate_limit import LOOP_BURST_S, YIELD_AFTER_S, LoopShare
from vivavoce.testing.virtual_loop import VirtualLoop, run_virtually, virtual_loop

Work = Callable[[list[str]], Coroutine[Any, Any, None]]


def done(*works: Work) -> str:
    """The pieces of work in the order in which they were done, each a letter."""

    async def run() -> str:
        order: list[str] = []
        await asyncio.gather(*(work(order) for work in works))
        return "".join(order)

    return run_virtually(run())


def background(letter: str, pieces: int) -> Work:
    async def work(order: list[str]) -> None:
        for _ in range(pieces):
            await idle_turn()
            order.append(letter)

    return work


async def conversation(order: list[str]) -> None:
    for _ in range(5):
        order.append("c")
        await asyncio.sleep(0)


def test_what_is_ready_goes_before_work_that_waits_for_idle_turns() -> None:
    assert done(background("a", 3), conversation) == "cccccaaa"


def test_idle_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    assert done(background("a", 3), background("b", 3)) == "ababab"


def test_one_piece_of_background_work_is_done_at_a_time() -> None:
    async def later(order: list[str]) -> None:
        await idle_turn()
        order.append("a")
        await conversation(order)  # what an idle turn began is ready now, and goes first

    assert done(later, background("b", 2)) == "acccccbb"


def test_work_on_a_busy_loop_is_done_after_a_while() -> None:
    async def run() -> int:
        loop, turns = asyncio.get_running_loop(), 0
        waiting = asyncio.ensure_future(idle_turn())
        while not waiting.done():
            loop.advance(event_loop.MAX_WAIT_S / 10)  # type: ignore[attr-defined]
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert 10 <= run_virtually(run()) <= 13


def test_those_that_wait_on_a_busy_loop_share_the_wait() -> None:
    async def run(count: int) -> int:
        loop, turns = asyncio.get_running_loop(), 0
        waiting = [asyncio.ensure_future(idle_turn()) for _ in range(count)]
        while not all(each.done() for each in waiting):
            loop.advance(event_loop.MAX_WAIT_S / 10)  # type: ignore[attr-defined]
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert run_virtually(run(50)) < 4 * 50


def test_a_turn_that_is_not_wanted_any_more_is_given_to_the_next() -> None:
    async def run() -> list[str]:
        order: list[str] = []
        first = asyncio.ensure_future(background("a", 1)(order))
        second = asyncio.ensure_future(background("b", 1)(order))
        await asyncio.sleep(0)
        first.cancel()
        await second
        return order

    assert run_virtually(run()) == ["b"]


def test_a_connection_gives_way_once_it_took_much_and_no_longer_when_that_is_made_up_for() -> None:
    async def run(taken_s: float, rest_s: float) -> bool:
        share = LoopShare(0.1)
        share.count_work(taken_s)
        await asyncio.sleep(rest_s)
        others = asyncio.ensure_future(asyncio.sleep(0))
        await share.yield_to_loop()
        return others.done()

    assert not run_virtually(run(YIELD_AFTER_S / 2, 0))
    assert run_virtually(run(2 * YIELD_AFTER_S, 0))
    assert not run_virtually(run(2 * YIELD_AFTER_S, 15 * YIELD_AFTER_S))
    assert run_virtually(run(LOOP_BURST_S, 0))


def test_work_that_holds_the_loop_is_logged_for_a_while_and_then_no_longer() -> None:
    async def run(loop: VirtualLoop) -> None:
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(1)
        assert lag.worst_s == pytest.approx(0, abs=1e-3)
        for held_s in (0.4, 0.2):
            loop.advance(held_s)  # as work does that takes so long
            await asyncio.sleep(INTERVAL_S)
            assert 0.4 - INTERVAL_S <= lag.worst_s <= 0.4
        await asyncio.sleep(WINDOW_S - 2)
        assert lag.worst_s >= 0.3
        await asyncio.sleep(2 * WINDOW_S)
        assert lag.worst_s == pytest.approx(0, abs=1e-3)
        await lag.aclose()

    with virtual_loop() as loop:
        loop.run_until_complete(run(loop))
