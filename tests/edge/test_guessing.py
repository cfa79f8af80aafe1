"""Guessing keys, on a clock of its own."""

from __future__ import annotations

import asyncio

from vivavoce.edge.guessing import ADDRESSES, CROWD, FORGIVEN_S, FREE, LONGEST_S, Guesses
from vivavoce.testing.virtual_loop import run_virtually


def test_the_first_mistakes_are_told_at_once_and_then_later_and_later() -> None:
    async def waited() -> list[float]:
        loop = asyncio.get_running_loop()
        guesses, delays = Guesses(loop.time), []
        for _ in range(FREE + 8):
            began = loop.time()
            await guesses.failed("a")
            delays.append(loop.time() - began)
        return delays

    delays = run_virtually(waited())
    assert delays[:FREE] == [0.0] * FREE
    late = delays[FREE:]
    assert late == sorted(late)
    assert 0 < late[0] < 0.5
    assert late[-1] == LONGEST_S


def test_others_are_not_held_up_and_who_pauses_is_forgiven() -> None:
    async def course() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        guesses = Guesses(loop.time)
        for _ in range(FREE + 5):
            await guesses.failed("a")
        began = loop.time()
        await guesses.failed("b")
        other = loop.time() - began
        await asyncio.sleep(FORGIVEN_S)
        began = loop.time()
        await guesses.failed("a")
        return other, loop.time() - began

    assert run_virtually(course()) == (0.0, 0.0)


def test_guessing_side_by_side_gains_nothing() -> None:
    async def course() -> tuple[int, bool, bool]:
        loop = asyncio.get_running_loop()
        guesses, looked_at = Guesses(loop.time), 0
        running = []
        for _ in range(1000):
            if not guesses.crowded("a"):
                looked_at += 1
                running.append(asyncio.ensure_future(guesses.failed("a")))
                await asyncio.sleep(0)
        crowded = guesses.crowded("a")
        await asyncio.gather(*running)
        return looked_at, crowded, guesses.crowded("a")

    assert run_virtually(course()) == (FREE + CROWD, True, False)


def test_an_ipv6_network_is_one_guesser_and_every_other_is_another() -> None:
    async def course() -> list[float]:
        loop = asyncio.get_running_loop()
        guesses, delays = Guesses(loop.time), []
        for number in range(FREE):
            await guesses.failed(f"2001:db8:0:1::{number:x}")
        for address in ("2001:db8:0:1:ffff::1", "2001:db8:0:2::1", "::ffff:10.0.0.1", "10.0.0.2"):
            began = loop.time()
            await guesses.failed(address)
            delays.append(loop.time() - began)
        return delays

    first, *others = run_virtually(course())
    assert first > 0
    assert others == [0.0, 0.0, 0.0]


def test_an_ipv4_address_is_one_guesser_by_whichever_listener_it_comes() -> None:
    async def course() -> float:
        loop = asyncio.get_running_loop()
        guesses = Guesses(loop.time)
        for _ in range(FREE):
            await guesses.failed("10.0.0.1")
        began = loop.time()
        await guesses.failed("::ffff:10.0.0.1")
        return loop.time() - began

    assert run_virtually(course()) > 0


def test_no_more_addresses_are_remembered_than_that() -> None:
    async def course() -> int:
        guesses = Guesses(asyncio.get_running_loop().time)
        for number in range(ADDRESSES + 50):
            await guesses.failed(f"{number}")
        return len(guesses._failures)

    assert run_virtually(course()) == ADDRESSES
