"""How much is read at a time and when, in virtual time and by a processor clock that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from vivavoce.http.read_pace import (
    LONGEST_S,
    READ_BURST_S,
    READ_SHARE,
    SHORTEST_PAUSE_S,
    SMALLEST_READ,
    ReadPace,
)
from vivavoce.testing.virtual_loop import run_virtually


class Reads:
    """Reads of one connection, each of which takes as long as a test says."""

    def __init__(self, largest: int = 4096) -> None:
        self.now = 0.0
        self.pace = ReadPace(asyncio.get_running_loop(), largest, lambda: self.now)

    async def read(self, count: int, taken_s: float) -> None:
        resumed = asyncio.Event()
        self.pace.begin()
        self.now += taken_s
        self.pace.end(count)
        if self.pace.pauses(resumed.set):
            await resumed.wait()


def test_reads_take_their_share_of_the_loop_after_a_burst() -> None:
    async def run(reads: int, taken_s: float) -> float:
        connection = Reads()
        for _ in range(reads):
            await connection.read(1, taken_s)
        return asyncio.get_running_loop().time()

    burst = int(READ_BURST_S / 0.0001)
    assert run_virtually(run(burst - 1, 0.0001)) == 0
    long = run_virtually(run(10 * burst, 0.0001))
    assert long == pytest.approx(9 * READ_BURST_S / READ_SHARE, abs=2 * SHORTEST_PAUSE_S)


def test_bytes_that_come_one_by_one_gather_while_their_connection_pauses() -> None:
    async def run() -> int:
        connection, pauses = Reads(), 0
        await connection.read(1, READ_BURST_S)
        for _ in range(100):
            before = asyncio.get_running_loop().time()
            await connection.read(1, 0.00002)
            pauses += asyncio.get_running_loop().time() >= before + SHORTEST_PAUSE_S
        return pauses

    assert run_virtually(run()) == 2


@pytest.mark.parametrize(
    ("taken", "size"),
    [
        ([LONGEST_S], 4096),
        ([8 * LONGEST_S], 512),
        ([8 * LONGEST_S, LONGEST_S / 2], 1024),
        ([8 * LONGEST_S, *[0.0] * 9], 4096),
        ([100 * LONGEST_S], SMALLEST_READ),
    ],
)
def test_costly_reads_become_small_and_quick_ones_large_again(
    taken: Sequence[float], size: int
) -> None:
    async def run() -> int:
        connection = Reads()
        for taken_s in taken:
            await connection.read(4096, taken_s)
        return connection.pace.size

    assert run_virtually(run()) == size


def test_after_a_large_read_no_more_is_read_than_is_paced() -> None:
    async def run() -> int:
        connection = Reads(largest=2048)
        await connection.read(64 * 1024, 2 * LONGEST_S)
        return connection.pace.size

    assert run_virtually(run()) == 2048


def test_a_connection_that_is_lost_leaves_no_timer() -> None:
    async def run() -> float:
        pace = Reads().pace
        pace._share.count_work(1)
        assert pace.pauses(lambda: pytest.fail("it is gone"))
        pace.close()
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 100
