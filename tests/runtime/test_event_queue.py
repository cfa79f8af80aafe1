"""Events in order, and a wait that ends at the deadline."""

from __future__ import annotations

import asyncio

from vivavoce.core.events import ClientGone, TextReceived
from vivavoce.runtime.event_queue import HIGH_WATER, EventQueue
from vivavoce.testing.virtual_loop import run_virtually


def test_events_are_taken_in_the_order_in_which_they_were_posted() -> None:
    mailbox = EventQueue()
    mailbox.put_event(TextReceived("one"))
    mailbox.put_event(TextReceived("two"))
    assert [mailbox.take_event(), mailbox.take_event(), mailbox.take_event()] == [
        TextReceived("one"),
        TextReceived("two"),
        None,
    ]


def test_waiting_ends_with_an_event_or_at_the_deadline_whichever_comes_first() -> None:
    async def run() -> list[float]:
        mailbox = EventQueue()
        loop = asyncio.get_running_loop()
        ended = []
        loop.call_at(1.0, mailbox.put_event, ClientGone())
        await mailbox.wait_for_event(5.0)
        ended.append(loop.time())
        await mailbox.wait_for_event(5.0)  # the event was not taken: there is nothing to wait for
        ended.append(loop.time())
        mailbox.take_event()
        await mailbox.wait_for_event(5.0)
        ended.append(loop.time())
        return ended

    assert run_virtually(run()) == [1.0, 1.0, 5.0]


def test_a_cancelled_wait_leaves_no_timer_and_the_next_one_works() -> None:
    async def run() -> float:
        mailbox = EventQueue()
        waiting = asyncio.ensure_future(mailbox.wait_for_event(100.0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await mailbox.wait_for_event(2.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 2.0


def test_who_waits_for_room_goes_on_when_an_event_was_taken() -> None:
    async def run() -> None:
        mailbox = EventQueue()
        for _ in range(HIGH_WATER):
            await mailbox.wait_for_room()
            mailbox.put_event(ClientGone())
        waiting = asyncio.ensure_future(mailbox.wait_for_room())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        mailbox.take_event()
        await waiting

    run_virtually(run())
