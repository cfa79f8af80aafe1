"""Slots, delays of wrong credentials, and the rate of log lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vivavoce.errors import INTERNAL, POLICY, TOO_BIG
from vivavoce.http.limits import (
    ADMITTED_MEMORY_S,
    MAX_ADDRESSES,
    MAX_DELAY_S,
    MAX_DELAYED,
    MAX_FRAMES,
    RESET_S,
    UNDELAYED_FAILURES,
    AuthFailureLimiter,
    ConnectionLimiter,
    ConnectionLimits,
    ConnectionSlot,
    LineRateLimit,
)
from vivavoce.protocol import close
from vivavoce.testing.virtual_loop import run_virtually

STRANGER, OTHER = "192.0.2.1", "192.0.2.2"


def limiter(connections: int = 100, now: Callable[[], float] = lambda: 0.0) -> ConnectionLimiter:
    limits = ConnectionLimits(
        max_connections=connections, first_message_bytes=1000, waiting_bytes=2500
    )
    return ConnectionLimiter(limits, now)


def acquired(slots: ConnectionLimiter, address: str) -> tuple[ConnectionSlot, list[str]]:
    """A slot, and a list that is filled when its connection is cut."""
    slot, cuts = slots.acquire(address), list[str]()
    assert slot is not None
    slot.attach(lambda: cuts.append("cut"))
    return slot, cuts


def test_one_network_holds_at_most_a_quarter_and_its_oldest_gives_way() -> None:
    slots = limiter()
    held = [acquired(slots, STRANGER) for _ in range(40)]
    assert [bool(cuts) for _, cuts in held] == [True] * 15 + [False] * 25
    assert slots.taken == 25
    _, other = acquired(slots, OTHER)
    assert slots.taken == 26
    assert not other


def test_all_addresses_of_an_ipv6_network_count_as_one() -> None:
    slots = limiter()
    for host in range(40):
        acquired(slots, f"2001:db8::{host:x}")
    assert slots.taken == 25


def test_a_connection_that_has_said_nothing_gives_way_first() -> None:
    slots = limiter()
    oldest, oldest_cuts = acquired(slots, STRANGER)
    oldest.requested = True
    _, silent_cuts = acquired(slots, STRANGER)
    for _ in range(24):
        acquired(slots, STRANGER)
    assert (oldest_cuts, silent_cuts) == ([], ["cut"])


def test_admitted_connections_are_not_counted_and_never_cut() -> None:
    slots = limiter()
    admitted = [acquired(slots, STRANGER) for _ in range(60)][-25:]
    for slot, _ in admitted:
        slot.admit()
    for _ in range(60):
        acquired(slots, STRANGER)
    assert slots.taken == 50
    assert not any(cuts for _, cuts in admitted)


def test_when_all_is_taken_the_network_with_most_gives_way() -> None:
    slots = limiter()
    greedy = [acquired(slots, STRANGER) for _ in range(25)]
    for network in range(10):
        for _ in range(7):
            acquired(slots, f"198.51.100.{network}")
    acquired(slots, OTHER)
    assert greedy[0][1]
    assert slots.taken == 95


def test_the_last_slots_are_kept_for_networks_that_were_admitted() -> None:
    time = [0.0]
    slots = limiter(now=lambda: time[0])
    holders = []
    for network in range(95):
        slot, _ = acquired(slots, f"198.51.100.{network}")
        slot.admit()
        holders.append(slot)
    assert slots.acquire(STRANGER) is None
    known, _ = acquired(slots, "198.51.100.0")
    known.release()
    holders[1].release()
    acquired(slots, OTHER)[0].admit()
    returning = slots.acquire("198.51.100.1")
    assert returning is not None
    returning.release()
    time[0] = ADMITTED_MEMORY_S
    assert slots.acquire("198.51.100.1") is None


def test_a_slot_is_given_back_once() -> None:
    slots = limiter()
    waiting, _ = acquired(slots, STRANGER)
    admitted, _ = acquired(slots, STRANGER)
    admitted.admit()
    for slot in (waiting, admitted, waiting, admitted):
        slot.release()
    assert slots.taken == 0


def test_a_first_message_is_bounded_until_admission() -> None:
    slots = limiter()
    slot, _ = acquired(slots, STRANGER)
    assert slot.count_bytes(1000) is None
    assert slot.count_bytes(1) == (TOO_BIG, close.MESSAGE_TOO_BIG)
    slot.admit()
    assert slot.count_bytes(1_000_000) is None
    assert slots.waiting_bytes == 0


def test_a_refused_client_may_send_a_little_more_and_then_gets_the_reason() -> None:
    slot, _ = acquired(limiter(), STRANGER)
    assert slot.count_bytes(300) is None
    slot.refuse((POLICY, "not from there"), 100)
    assert slot.count_bytes(100) is None
    assert slot.count_bytes(1) == (POLICY, "not from there")


def test_frames_are_counted_until_admission() -> None:
    slot, _ = acquired(limiter(), STRANGER)
    assert [slot.count_frame() for _ in range(MAX_FRAMES)] == [None] * MAX_FRAMES
    assert slot.count_frame() == (TOO_BIG, close.MESSAGE_TOO_BIG)
    slot.admit()
    assert slot.count_frame() is None


def test_the_sum_of_waiting_bytes_is_bounded_at_the_cost_of_who_sent_most() -> None:
    slots = limiter()
    great, great_cuts = acquired(slots, STRANGER)
    middle, middle_cuts = acquired(slots, STRANGER)
    small, _ = acquired(slots, OTHER)
    assert great.count_bytes(990) is None
    assert middle.count_bytes(900) is None
    assert small.count_bytes(700) is None
    assert (great_cuts, middle_cuts) == (["cut"], [])
    assert slots.waiting_bytes == 1600
    assert great.count_bytes(5000) is None, "it is cut, and counts no more"
    late, _ = acquired(slots, OTHER)
    assert late.count_bytes(990) == (INTERNAL, close.UNAVAILABLE)
    for slot in (middle, small, late):
        slot.release()
    assert slots.waiting_bytes == 0


def test_the_first_mistakes_are_answered_at_once_and_then_later_and_later() -> None:
    async def waited() -> list[float]:
        loop = asyncio.get_running_loop()
        guesses, delays = AuthFailureLimiter(loop.time), []
        for _ in range(UNDELAYED_FAILURES + 8):
            began = loop.time()
            await guesses.delay_failure("a")
            delays.append(loop.time() - began)
        return delays

    delays = run_virtually(waited())
    assert delays[:UNDELAYED_FAILURES] == [0.0] * UNDELAYED_FAILURES
    late = delays[UNDELAYED_FAILURES:]
    assert late == sorted(late)
    assert 0 < late[0] < 0.5
    assert late[-1] == MAX_DELAY_S


def test_others_are_not_held_up_and_who_pauses_is_forgiven() -> None:
    async def course() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        guesses = AuthFailureLimiter(loop.time)
        for _ in range(UNDELAYED_FAILURES + 5):
            await guesses.delay_failure("a")
        began = loop.time()
        await guesses.delay_failure("b")
        other = loop.time() - began
        await asyncio.sleep(RESET_S)
        began = loop.time()
        await guesses.delay_failure("a")
        return other, loop.time() - began

    assert run_virtually(course()) == (0.0, 0.0)


def test_guessing_side_by_side_gains_nothing() -> None:
    async def course() -> tuple[int, bool, bool]:
        loop = asyncio.get_running_loop()
        guesses, looked_at = AuthFailureLimiter(loop.time), 0
        running = []
        for _ in range(1000):
            if not guesses.is_overloaded("a"):
                looked_at += 1
                running.append(asyncio.ensure_future(guesses.delay_failure("a")))
                await asyncio.sleep(0)
        crowded = guesses.is_overloaded("a")
        await asyncio.gather(*running)
        return looked_at, crowded, guesses.is_overloaded("a")

    assert run_virtually(course()) == (UNDELAYED_FAILURES + MAX_DELAYED, True, False)


def test_an_ipv6_network_is_one_guesser_and_every_other_is_another() -> None:
    async def course() -> list[float]:
        loop = asyncio.get_running_loop()
        guesses, delays = AuthFailureLimiter(loop.time), []
        for number in range(UNDELAYED_FAILURES):
            await guesses.delay_failure(f"2001:db8:0:1::{number:x}")
        for address in ("2001:db8:0:1:ffff::1", "2001:db8:0:2::1", "::ffff:10.0.0.1", "10.0.0.2"):
            began = loop.time()
            await guesses.delay_failure(address)
            delays.append(loop.time() - began)
        return delays

    first, *others = run_virtually(course())
    assert first > 0
    assert others == [0.0, 0.0, 0.0]


def test_an_ipv4_address_is_one_guesser_by_whichever_listener_it_comes() -> None:
    async def course() -> float:
        loop = asyncio.get_running_loop()
        guesses = AuthFailureLimiter(loop.time)
        for _ in range(UNDELAYED_FAILURES):
            await guesses.delay_failure("10.0.0.1")
        began = loop.time()
        await guesses.delay_failure("::ffff:10.0.0.1")
        return loop.time() - began

    assert run_virtually(course()) > 0


def test_no_more_addresses_are_remembered_than_that() -> None:
    async def course() -> int:
        guesses = AuthFailureLimiter(asyncio.get_running_loop().time)
        for number in range(MAX_ADDRESSES + 50):
            await guesses.delay_failure(f"{number}")
        return len(guesses._failures)

    assert run_virtually(course()) == MAX_ADDRESSES


def record(sentence: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "x.py", 1, sentence, None, None)


def test_a_sentence_is_written_so_often_in_a_period_and_others_are_not_affected() -> None:
    now = [0.0]
    limit = LineRateLimit(lines=2, period_s=60.0, clock=lambda: now[0])
    assert [limit.filter(record("a")) for _ in range(5)] == [True, True, False, False, False]
    assert limit.filter(record("b"))
    now[0] = 60.0
    line = record("a")
    assert limit.filter(line)
    assert vars(line)["left_out"] == 3
    line = record("b")
    assert limit.filter(line)
    assert "left_out" not in vars(line)
