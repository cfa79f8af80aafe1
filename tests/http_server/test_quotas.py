"""What a principal may take, over all servers that share a store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vivavoce.domain.accounts import Principal, Quota
from vivavoce.errors import ClientFault, StoreError
from vivavoce.http.quotas import SLOT_LEASE_S, Quotas, UsageMeter
from vivavoce.protocol import close
from vivavoce.store.memory import MemoryStore

MIDNIGHT = 1_800_057_600.0  # 2027-01-16T00:00:00Z


class Time:
    def __init__(self) -> None:
        self.now = MIDNIGHT - 3600

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def who(**quota: float) -> Principal:
    return Principal("key", quota=Quota(**quota))  # type: ignore[arg-type]


def quotas(store: MemoryStore, time: Time) -> Quotas:
    return Quotas(store, now=time, clock=time)


async def refused(of: Quotas, principal: Principal, holder: str = "new") -> None:
    with pytest.raises(ClientFault) as fault:
        await of.admit_session(principal, holder)
    assert (fault.value.code, fault.value.reason) == (1011, close.QUOTA)


async def test_so_many_sessions_at_once_on_all_servers(time: Time) -> None:
    store, principal = MemoryStore(), who(sessions=2)
    here, there = quotas(store, time), quotas(store, time)
    one = await here.admit_session(principal, "one")
    await there.admit_session(principal, "two")
    await refused(here, principal)
    await here.release_session(principal, one)
    await here.admit_session(principal, "three")
    await refused(there, principal)
    await there.admit_session(Principal("other", quota=Quota(sessions=1)), "four")


async def test_a_session_that_goes_on_over_another_connection_keeps_its_place(time: Time) -> None:
    store, principal = MemoryStore(), who(sessions=1)
    of = quotas(store, time)
    old = await of.admit_session(principal, "session")
    new = await of.admit_session(principal, "session")
    await of.release_session(principal, old)
    await refused(of, principal)
    await of.release_session(principal, new)
    await of.admit_session(principal, "next")


class Hanging(MemoryStore):
    """A store that grants a slot, and then hangs on the question about the day."""

    async def add_usage(self, *arguments: Any, **named: Any) -> float:
        await asyncio.Event().wait()
        raise AssertionError


async def test_who_leaves_before_it_is_admitted_holds_no_place(time: Time) -> None:
    store, principal = Hanging(), who(sessions=1, tool_calls=5)
    here = quotas(store, time)
    asking = asyncio.ensure_future(here.admit_session(principal, "one"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    time.now += SLOT_LEASE_S - 1
    flushing = asyncio.ensure_future(here.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    time.now += 2
    assert await store.acquire_slot(principal.id, "two", 1, time.now, time.now + SLOT_LEASE_S)


async def test_a_place_is_kept_while_its_process_lives_and_falls_free_with_it(time: Time) -> None:
    store, principal = MemoryStore(), who(sessions=1)
    here, there = quotas(store, time), quotas(store, time)
    await here.admit_session(principal, "one")
    for _ in range(3):
        time.now += SLOT_LEASE_S - 1
        await here.flush()
        await refused(there, principal)
    time.now += SLOT_LEASE_S
    await there.admit_session(principal, "two")


@pytest.mark.parametrize(
    ("quota", "take"),
    [
        ({"audio_minutes": 1}, lambda meter: meter.count_audio(30.5)),
        ({"tool_calls": 3}, lambda meter: meter.count_tool_calls(2)),
    ],
)
async def test_a_days_quota_is_spent_over_all_sessions_and_new_the_next_day(
    time: Time, quota: dict[str, float], take: object
) -> None:
    assert callable(take)
    store, principal, over = MemoryStore(), who(**quota), []
    here, there = quotas(store, time), quotas(store, time)
    meters: list[UsageMeter] = []
    for name, of in (("one", here), ("two", there)):
        meter = await of.admit_session(principal, name)
        meter.on_exceeded = lambda name=name: over.append(name)  # type: ignore[misc]
        meters.append(meter)
    take(meters[0])
    await here.flush()
    await there.flush()
    assert over == []
    take(meters[1])
    await there.flush()
    await here.flush()
    assert sorted(over) == ["one", "two"]
    await refused(here, principal)
    time.now = MIDNIGHT
    await here.admit_session(principal, "tomorrow")


async def test_what_a_session_took_last_is_counted_when_it_ends(time: Time) -> None:
    store, principal = MemoryStore(), who(tool_calls=1)
    of = quotas(store, time)
    meter = await of.admit_session(principal, "one")
    meter.count_tool_calls(1)
    await of.release_session(principal, meter)
    await refused(of, principal)


async def test_messages_come_in_bursts_and_no_faster(time: Time) -> None:
    of = quotas(MemoryStore(), time)
    principal = who(messages_per_s=10)
    one, two = await of.admit_session(principal, "one"), await of.admit_session(principal, "two")
    for meter in [one, two] * 10:
        meter.count_message()
    with pytest.raises(ClientFault):
        one.count_message()
    time.now += 0.125
    two.count_message()
    with pytest.raises(ClientFault):
        two.count_message()


async def test_without_limits_nothing_is_counted(time: Time) -> None:
    store = MemoryStore()
    of = quotas(store, time)
    meter = await of.admit_session(Principal(), "one")
    for _ in range(1000):
        meter.count_message()
    meter.count_audio(1e6)
    await of.flush()
    await of.release_session(Principal(), meter)
    assert (store._counters, store._slots, of._accounts) == ({}, {}, {})


class Away(MemoryStore):
    away = True

    async def add_usage(self, *arguments: object, **named: object) -> float:
        if self.away:
            raise StoreError("away")
        return await super().add_usage(*arguments, **named)  # type: ignore[arg-type]


async def test_while_the_store_is_away_people_talk_and_it_is_counted_later(time: Time) -> None:
    store, principal, over = Away(), who(tool_calls=1), []
    of = quotas(store, time)
    meter = await of.admit_session(principal, "one")
    meter.on_exceeded = lambda: over.append(True)
    meter.count_tool_calls(5)
    await of.flush()
    assert over == []
    store.away = False
    await of.flush()
    assert over == [True]
