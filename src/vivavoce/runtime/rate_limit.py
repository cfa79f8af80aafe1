"""How fast one client may send: messages a second, and sound against real time.

A client that is faster is not read for a moment. TCP makes it wait, and nothing that it sent is
lost: who sends a file as fast as it goes is taken at the rate of the limit. Messages that come too
fast for `PATIENCE_S` on end are no burst; they would wait ever longer in buffers of which neither
side knows, so the client is closed and told why.

Messages may be few and costly, too. What it takes of the event loop to read them and to decide what
follows is measured, and a connection that takes more than its share waits as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from vivavoce.errors import ClientFault

T = TypeVar("T")

POLICY = 1008

BURST_S = 1.0
"""As many messages as are allowed in so long may come at once: after a stall they do."""

SOUND_SHARE = 0.1
"""What a message counts that carries nothing but sound: it costs little, and browsers send one for
every 128 samples, 125 to 375 a second."""

FREE_AUDIO_S = 60.0
"""Sound that may come at any speed, at the beginning and whenever as much time has passed."""

LOOP_SHARE = 0.1
LOOP_BURST_S = 0.05
"""What one connection may take of the event loop: so much at once, and this share of it on and on.
A conversation takes a hundredth; a picture of 20 MB is read within the burst."""

ANSWER_S = 0.002
"""What an answer takes of the event loop beside that, before its first sound; it is not measured,
since engines run in tasks of their own."""

PATIENCE_S = 10.0
"""How long messages may come too fast before the client is closed."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What each connection may send; 0 is no limit. `audio_speed` counts times real time.

    `loop_share` is what it may take of the event loop, by the processor time of its thread.
    """

    messages_per_s: float = 100.0
    audio_speed: float = 4.0
    loop_share: float = LOOP_SHARE


class TokenBucket:
    """Fills at `rate` up to `capacity`. What is taken beyond that has to be waited for."""

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate = rate
        self._capacity = self._level = capacity
        self._filled_at: float | None = None

    def take(self, amount: float, now: float) -> float:
        """Take `amount`; the seconds until the bucket has made up for it, 0 if it held so much."""
        if self._filled_at is not None:
            filled = self._level + self._rate * (now - self._filled_at)
            self._level = min(self._capacity, filled)
        self._filled_at = now
        self._level -= amount
        return max(0.0, -self._level / self._rate)


class RateLimiter:
    """The limits of one connection. Its reader awaits each verb before it goes on."""

    def __init__(
        self, limits: RateLimits, processor_s: Callable[[], float] = time.thread_time
    ) -> None:
        self._limits = limits
        self._processor_s = processor_s
        self._taken_s = 0.0
        share = limits.loop_share
        self._share = TokenBucket(share, LOOP_BURST_S) if share else None
        rate, speed = limits.messages_per_s, limits.audio_speed
        self._messages = TokenBucket(rate, max(1.0, rate * BURST_S)) if rate else None
        self._audio = TokenBucket(speed, FREE_AUDIO_S) if speed else None
        self._held_since: float | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what is done within, on the event loop, as the connection's. It may not wait."""
        if self._share is None:
            yield
            return
        began = self._processor_s()
        try:
            yield
        finally:
            self.count_work(self._processor_s() - began)

    def measure(self, work: Callable[[], T]) -> tuple[T, float]:
        """Return the result of `work` and the processor seconds that this thread took for it.

        It changes nothing here, so that any thread may call it; `count_work` counts the seconds.
        """
        began = self._processor_s()
        result = work()
        return result, self._processor_s() - began

    def count_work(self, taken_s: float) -> None:
        """Count seconds of work as the connection's. To be called on the event loop."""
        self._taken_s += taken_s

    def count_answer(self) -> None:
        """Count the beginning of an answer as the connection's work."""
        self.count_work(ANSWER_S)

    async def share(self) -> None:
        """Wait until the connection's share of the event loop covers what it has taken."""
        taken_s, self._taken_s = self._taken_s, 0.0
        if self._share is None or not taken_s:
            return
        if wait_s := self._share.take(taken_s, asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)

    async def message(self, sound: bool) -> None:
        """Wait until a message, of nothing but `sound` or of more, is within the limit.

        Raises `ClientFault` when messages have come too fast for too long.
        """
        if self._messages is None:
            return
        now = asyncio.get_running_loop().time()
        wait_s = self._messages.take(SOUND_SHARE if sound else 1.0, now)
        if not wait_s:
            self._held_since = None
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since >= PATIENCE_S:
            raise too_many_messages(self._limits.messages_per_s)
        await asyncio.sleep(wait_s)

    async def audio(self, seconds: float) -> None:
        """Wait until so many seconds of sound are within the limit."""
        if self._audio is None:
            return
        if wait_s := self._audio.take(seconds, asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)


def too_many_messages(rate: float) -> ClientFault:
    """The close of a client that goes on sending too many messages."""
    return ClientFault(
        POLICY,
        f"More than {rate:g} messages a second for {PATIENCE_S:.0f} s: send fewer and larger ones, "
        "or raise session.messages_per_s.",
    )
