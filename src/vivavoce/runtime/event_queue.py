"""Queue of events for the core of one conversation.

Its sources bound it: the reader waits for room, generations are paced, transcripts come on request.
Frequent events, those of audio, do not wait in it while it is empty: the consumer handles them in
the step of whoever puts them, since for a microphone a wake-up costs more than the work itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

from vivavoce.core.events import Event

HIGH_WATER_EVENTS = 64
"""Events in the queue at which the reader of the client stops reading."""


class EventQueue:
    """First-in, first-out queue of events with one consumer and any number of producers.

    `handle_at_once` is set while there is a consumer for frequent events; else they are queued.
    """

    def __init__(self, handle_at_once: Callable[[Event], None] | None = None) -> None:
        self.handle_at_once = handle_at_once
        self.wakes_at = -inf
        """When `wait_for_event` returns without an event; -inf while nothing waits."""
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._room = asyncio.Event()

    async def wait_for_room(self) -> None:
        """Return when fewer than `HIGH_WATER_EVENTS` events wait."""
        while len(self._events) >= HIGH_WATER_EVENTS:
            self._room.clear()
            await self._room.wait()

    def put_event(self, event: Event) -> None:
        """Append an event."""
        self._events.append(event)
        self.wake()

    def put_frequent(self, event: Event) -> None:
        """Have a frequent event handled at once, or append it behind those that wait."""
        if self._events or self.handle_at_once is None:
            self.put_event(event)
        else:
            self.handle_at_once(event)

    def take_event(self) -> Event | None:
        """Remove and return the oldest event, if there is one."""
        event = self._events.popleft() if self._events else None
        if len(self._events) < HIGH_WATER_EVENTS:
            self._room.set()
        return event

    async def wait_for_event(self, deadline: float | None) -> None:
        """Return when there is an event, at the latest at `deadline` in the loop's time.

        By hand rather than with `asyncio.timeout_at`, which would raise and unwind at every
        deadline: this is once for every chunk of audio.
        """
        if self._events:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, self.wake)
        self.wakes_at = inf if deadline is None else deadline
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.wakes_at = -inf
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Let `wait_for_event` return."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
