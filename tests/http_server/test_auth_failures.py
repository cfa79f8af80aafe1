"""Guessing keys, on a clock of its own."""

from __future__ import annotations

import asyncio

from vivavoce.http.auth_failures import (
    MAX_ADDRESSES,
    MAX_DELAY_S,
    MAX_DELAYED,
    RESET_S,
    UNDELAYED_FAILURES,
    AuthFailureLimiter,
)
from vivavoce.testing.virtual_loop import run_virtually


def test_the_first_mistakes_are_told_at_once_and_then_later_and_later() -> None:
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
