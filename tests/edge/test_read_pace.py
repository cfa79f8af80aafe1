"""How fast frames are read that carry no message, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from vivavoce.edge.read_pace import (
    FRAMES_AT_ONCE,
    FRAMES_PER_S,
    SMALL_READ,
    TWICE,
    ReadPace,
)
from vivavoce.testing.loop import run_virtually


async def taken(reads: int, frames: int, size: int) -> float:
    """How long so many reads take, each of `size` bytes with so many frames in it."""
    loop = asyncio.get_running_loop()
    resumed = asyncio.Event()
    pace = ReadPace(loop)
    for _ in range(reads):
        for _ in range(frames):
            pace.count_frame()
        if pace.pauses(size, resumed.set):
            await resumed.wait()
            resumed.clear()
    pace.close()
    return loop.time()


def test_frames_and_small_reads_are_taken_at_their_rate_after_a_burst() -> None:
    expected = pytest.approx((9000 - FRAMES_AT_ONCE) / FRAMES_PER_S, abs=0.02)
    assert run_virtually(taken(100, 90, 4096)) == expected
    assert run_virtually(taken(9000 // TWICE, 0, 1)) == expected


def test_messages_are_not_held_up_here() -> None:
    assert run_virtually(taken(9000, 0, SMALL_READ)) == 0
    assert run_virtually(taken(10, 90, 4096)) == 0


def test_a_connection_that_is_lost_leaves_no_timer() -> None:
    async def run() -> float:
        pace = ReadPace(asyncio.get_running_loop())
        for _ in range(int(2 * FRAMES_AT_ONCE)):
            pace.count_frame()
        assert pace.pauses(4096, lambda: pytest.fail("it is gone"))
        pace.close()
        await asyncio.sleep(10)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 10
