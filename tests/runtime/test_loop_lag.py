"""The gauge of the event loop's delay."""

from __future__ import annotations

import asyncio

import pytest

from vivavoce.runtime.loop_lag import INTERVAL_S, WINDOW_S, LoopLag
from vivavoce.testing.virtual_loop import VirtualLoop, virtual_loop


def test_work_that_holds_the_loop_is_told_for_a_while_and_then_no_longer() -> None:
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
