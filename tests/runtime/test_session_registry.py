"""How many conversations there may be, and how they are sent home."""

from __future__ import annotations

import asyncio

from vivavoce.core.lifetime import CloseReason
from vivavoce.runtime.session_registry import Connections
from vivavoce.testing.virtual_loop import run_virtually


class Guest:
    def __init__(self, stays_s: float = 1.0) -> None:
        self.stays_s = stays_s
        self.told: list[float] = []
        self._told = asyncio.Event()

    def schedule_close(self, reason: CloseReason, time_left_s: float) -> None:
        self.told.append(time_left_s)
        self._told.set()

    async def stay(self, sessions: Connections) -> None:
        with sessions.hosting(self):
            await self._told.wait()
            await asyncio.sleep(self.stays_s)


def test_no_more_than_the_limit_are_admitted() -> None:
    async def run() -> None:
        sessions = Connections(2)
        with sessions.hosting(Guest()):
            found = [sessions.admits]
            with sessions.hosting(Guest()):
                found.append(sessions.admits)
                assert len(sessions) == 2
            found.append(sessions.admits)
        assert found == [True, False, True]

    run_virtually(run())


def test_draining_tells_everybody_admits_nobody_and_waits() -> None:
    async def run() -> None:
        sessions = Connections(10)
        guests = [Guest(), Guest(2.0)]
        async with asyncio.TaskGroup() as tasks:
            for guest in guests:
                tasks.create_task(guest.stay(sessions))
            await asyncio.sleep(0)
            assert await sessions.drain(5.0)
            assert asyncio.get_running_loop().time() == 2.0
            assert not sessions.admits
        assert [guest.told for guest in guests] == [[5.0], [5.0]]

    run_virtually(run())


def test_a_guest_that_stays_too_long_does_not_hold_the_drain() -> None:
    async def run() -> None:
        sessions = Connections(10)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Guest(60.0).stay(sessions))
            await asyncio.sleep(0)
            assert not await sessions.drain(5.0)

    run_virtually(run())


def test_draining_an_empty_house_is_done_at_once() -> None:
    assert run_virtually(Connections(1).drain(5.0))
