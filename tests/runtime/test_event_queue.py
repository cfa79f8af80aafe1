"""Events in order, and a wait that ends at the deadline."""

from __future__ import annotations

import asyncio
from math import inf

from vivavoce.core.events import AudioArrived, ClientGone, Event, TextReceived
from vivavoce.runtime.event_queue import HIGH_WATER_EVENTS, EventQueue
from vivavoce.testing.virtual_loop import run_virtually


def test_events_are_taken_in_the_order_in_which_they_were_posted() -> None:
    queue = EventQueue()
    queue.put_event(TextReceived("one"))
    queue.put_event(TextReceived("two"))
    assert [queue.take_event(), queue.take_event(), queue.take_event()] == [
        TextReceived("one"),
        TextReceived("two"),
        None,
    ]


def test_waiting_ends_with_an_event_or_at_the_deadline_whichever_comes_first() -> None:
    async def run() -> list[float]:
        queue = EventQueue()
        loop = asyncio.get_running_loop()
        ended = []
        loop.call_at(1.0, queue.put_event, ClientGone())
        await queue.wait_for_event(5.0)
        ended.append(loop.time())
        await queue.wait_for_event(5.0)  # the event was not taken: there is nothing to wait for
        ended.append(loop.time())
        queue.take_event()
        await queue.wait_for_event(5.0)
        ended.append(loop.time())
        return ended

    assert run_virtually(run()) == [1.0, 1.0, 5.0]


def test_a_cancelled_wait_leaves_no_timer_and_the_next_one_works() -> None:
    async def run() -> float:
        queue = EventQueue()
        waiting = asyncio.ensure_future(queue.wait_for_event(100.0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await queue.wait_for_event(2.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 2.0


def test_who_waits_for_room_goes_on_when_an_event_was_taken() -> None:
    async def run() -> None:
        queue = EventQueue()
        for _ in range(HIGH_WATER_EVENTS):
            await queue.wait_for_room()
            queue.put_event(ClientGone())
        waiting = asyncio.ensure_future(queue.wait_for_room())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        queue.take_event()
        await waiting

    run_virtually(run())


def test_frequent_events_are_handled_at_once_unless_others_wait() -> None:
    handled: list[Event] = []
    queue = EventQueue(handled.append)
    queue.put_frequent(AudioArrived(1))
    queue.put_event(TextReceived("first"))
    queue.put_frequent(AudioArrived(2))
    assert handled == [AudioArrived(1)]
    assert [queue.take_event(), queue.take_event()] == [TextReceived("first"), AudioArrived(2)]


def test_a_wait_says_when_it_ends_by_itself() -> None:
    async def run() -> list[float]:
        queue = EventQueue()
        ends = [queue.wakes_at]
        for deadline in (5.0, None):
            waiting = asyncio.ensure_future(queue.wait_for_event(deadline))
            await asyncio.sleep(0)
            ends.append(queue.wakes_at)
            queue.wake()
            await waiting
        return [*ends, queue.wakes_at]

    assert run_virtually(run()) == [-inf, 5.0, inf, -inf]
