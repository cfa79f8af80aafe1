"""How many conversations there may be, and how they are sent home."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from vivavoce.core.lifetime import CloseReason
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import SessionId
from vivavoce.errors import StoreError
from vivavoce.runtime import session_registry
from vivavoce.runtime.session_registry import Connections, Leases
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import SavedSession
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
        with sessions.register(self):
            await self._told.wait()
            await asyncio.sleep(self.stays_s)


def test_no_more_than_the_limit_are_admitted() -> None:
    async def run() -> None:
        sessions = Connections(2)
        with sessions.register(Guest()):
            found = [sessions.admits]
            with sessions.register(Guest()):
                found.append(sessions.admits)
                assert len(sessions) == 2
            found.append(sessions.admits)
        assert found == [True, False, True]

    run_virtually(run())


def test_draining_warns_all_clients_admits_none_and_waits() -> None:
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


NOW, RESUME_S = 1_800_000_000.0, 7200.0
SESSION = SessionId("s")
SAVED = SavedSession(SESSION, "", "m", 1, b"{}")


class Holder:
    def __init__(self, left: Checkpoint | None = None) -> None:
        self.told: list[str] = []
        self.left = left

    def supersede(self) -> None:
        self.told.append("taken")

    def hand_over(self) -> asyncio.Future[Checkpoint | None]:
        self.told.append("surrender")
        left: asyncio.Future[Checkpoint | None] = asyncio.get_running_loop().create_future()
        if self.left is not None:
            left.set_result(self.left)
        return left

    def lose_checkpoint(self) -> None:
        self.told.append("lost")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


async def kept(store: MemoryStore, lease: int = 1, expires: float = NOW + RESUME_S) -> None:
    assert await store.save_session(replace(SAVED, lease=lease), f"h{lease}", NOW, expires)


async def test_a_newer_connection_here_is_announced_to_the_older_at_once() -> None:
    leases, old, new = Leases(MemoryStore(), RESUME_S), Holder(), Holder()
    with leases.hold_lease(SESSION, 1, old), leases.hold_lease(SESSION, 2, new):
        assert (old.told, new.told) == (["taken"], [])


async def test_one_elsewhere_is_found_at_the_next_look() -> None:
    store, holder = MemoryStore(), Holder()
    leases = Leases(store, RESUME_S, Clock())
    await kept(store)
    with leases.hold_lease(SESSION, 1, holder):
        await leases.renew_leases()
        assert holder.told == []
        await store.take_session("h1", "", "m", NOW, exact=False)
        await leases.renew_leases()
        assert holder.told == ["taken"]
    await leases.renew_leases()
    assert holder.told == ["taken"], "who has gone is told nothing"


async def test_sessions_are_kept_while_they_are_held() -> None:
    store, clock = MemoryStore(), Clock()
    leases = Leases(store, RESUME_S, clock)
    await kept(store)
    with leases.hold_lease(SESSION, 1, Holder()):
        for _ in range(3):
            clock.now += RESUME_S - 1
            await leases.renew_leases()
    clock.now += RESUME_S - 1
    assert isinstance(await store.take_session("h1", "", "m", clock.now, exact=False), SavedSession)


async def test_a_record_that_is_gone_is_reported_once_and_one_not_yet_made_never() -> None:
    store, holder = MemoryStore(), Holder()
    leases = Leases(store, RESUME_S, Clock())
    with leases.hold_lease(SESSION, 1, holder):
        await leases.renew_leases()
        assert holder.told == [], "it was not written down yet"
        await kept(store)
        await leases.renew_leases()
        await store.forget_session(SESSION, 1)
        await leases.renew_leases()
        await leases.renew_leases()
        assert holder.told == ["lost"]


class Away(MemoryStore):
    async def renew_sessions(self, *arguments: object, **named: object) -> dict[SessionId, int]:
        raise StoreError("away")


async def test_while_the_store_is_away_all_clients_are_warned() -> None:
    holder = Holder()
    leases = Leases(Away(), RESUME_S, Clock())
    with leases.hold_lease(SESSION, 1, holder):
        await leases.renew_leases()
        assert holder.told == ["lost"]


async def test_what_a_connection_here_leaves_is_the_newer_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_registry, "HANDOVER_TIMEOUT_S", 0.01)
    left = Checkpoint(SESSION, "m", "", Tools(), (), 0)
    leases = Leases(MemoryStore(), RESUME_S)
    assert await leases.take_over(SESSION) is None, "nobody holds it here"
    with leases.hold_lease(SESSION, 1, Holder(left)):
        assert await leases.take_over(SESSION) == left
    with leases.hold_lease(SESSION, 1, Holder()):
        assert await leases.take_over(SESSION) is None, "it did not answer in time"
