"""Natural batching: what waits goes together, in order, up to the cap."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest

from vivavoce.engines.batcher import Batcher
from vivavoce.errors import EngineError


class Squares:
    """Squares numbers, remembers its batches, and can be made to wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(numbers))
        self.began.set()
        self.gate.wait(5)
        return [number * number for number in numbers]


async def test_one_request_is_one_call() -> None:
    squares = Squares()
    batcher = Batcher("squares", squares, inline_share=0)
    assert await batcher.submit(3) == 9
    assert squares.batches == [[3]]
    batcher.close()


async def test_what_waits_while_the_worker_is_busy_is_the_next_batch() -> None:
    squares = Squares()
    squares.gate.clear()
    batcher = Batcher("squares", squares, cap=4, inline_share=0)
    first = asyncio.ensure_future(batcher.submit(0))
    await asyncio.to_thread(squares.began.wait, 5)
    others = [asyncio.ensure_future(batcher.submit(n)) for n in range(1, 8)]
    await asyncio.sleep(0)
    squares.gate.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [n * n for n in range(1, 8)]
    assert squares.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
    batcher.close()


async def test_a_caller_that_left_costs_nothing() -> None:
    squares = Squares()
    squares.gate.clear()
    batcher = Batcher("squares", squares, inline_share=0)
    first = asyncio.ensure_future(batcher.submit(0))
    await asyncio.to_thread(squares.began.wait, 5)
    gone, stays = (asyncio.ensure_future(batcher.submit(n)) for n in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    squares.gate.set()
    assert await stays == 4
    await first
    assert squares.batches == [[0], [2]]
    batcher.close()


async def test_a_failure_reaches_everyone_in_the_batch_and_no_other() -> None:
    def score(numbers: Sequence[int]) -> Sequence[int]:
        if 13 in numbers:
            raise EngineError("engine", "unlucky")
        return numbers

    batcher = Batcher("engine", score, inline_share=0)
    with pytest.raises(EngineError):
        await batcher.submit(13)
    assert await batcher.submit(1) == 1
    batcher.close()


async def test_a_call_that_hangs_fails_its_own_batch_and_the_next_is_made_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hung, freed = threading.Event(), threading.Event()

    def score(numbers: Sequence[int]) -> Sequence[int]:
        if 13 in numbers:
            hung.set()
            freed.wait(30)
        return numbers

    batcher = Batcher("engine", score, inline_share=0, call_s=1.0)
    stuck = asyncio.ensure_future(batcher.submit(13))
    await asyncio.to_thread(hung.wait, 5)
    behind = asyncio.ensure_future(batcher.submit(1))
    with pytest.raises(EngineError, match="no result within 1 s"):
        await stuck
    assert await behind == 1
    monkeypatch.setattr("vivavoce.engines.batcher.MAX_STUCK", 1)
    with pytest.raises(EngineError, match="hangs in all its threads"):
        await batcher.submit(1)
    freed.set()
    async with asyncio.timeout(5):
        while True:
            with suppress(EngineError):
                assert await batcher.submit(1) == 1
                break
            await asyncio.sleep(0)
    batcher.close()


async def test_within_its_budget_a_call_stays_on_the_loop_and_beyond_it_leaves() -> None:
    now = 0.0

    def clock() -> float:
        return now

    squares = Squares()

    def costly(numbers: Sequence[int]) -> Sequence[int]:
        nonlocal now
        now += 0.002
        return squares(numbers)

    batcher = Batcher("squares", costly, inline_share=0.1, clock=clock)
    here = threading.current_thread().name
    await batcher.submit(1)
    assert squares.threads == {here}
    await batcher.submit(2)  # the burst of 3 ms is overdrawn by this one
    assert squares.threads == {here}
    squares.threads.clear()
    await batcher.submit(3)
    assert here not in squares.threads
    now += 1.0  # a quiet second earns the budget back
    squares.threads.clear()
    await batcher.submit(4)
    assert squares.threads == {here}
    batcher.close()


async def test_closing_releases_all_waiters() -> None:
    squares = Squares()
    squares.gate.clear()
    batcher = Batcher("squares", squares, inline_share=0)
    running = asyncio.ensure_future(batcher.submit(1))
    await asyncio.to_thread(squares.began.wait, 5)
    waiting = asyncio.ensure_future(batcher.submit(2))
    await asyncio.sleep(0)
    batcher.close()
    squares.gate.set()
    done, _ = await asyncio.wait({running, waiting}, timeout=5)
    assert len(done) == 2
    assert waiting.cancelled()
