"""Limit one client: messages a second, audio against real time, share of the event loop.

A client that is faster is not read for a moment. TCP makes it wait, and nothing that it sent is
lost: a file that is sent at once is read at the rate of the limit. Messages that come too fast for
`MAX_EXCESS_S` on end are no burst; they would wait ever longer in buffers, so the client is closed.

Messages may be few and costly, too. What it takes of the event loop to read them and to decide what
follows is measured. A connection that used much of the event loop recently yields to all others
(`event_loop.idle_turn`), and one that takes more than its share is read later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from vivavoce.errors import POLICY, ClientFault
from vivavoce.runtime.event_loop import idle_turn

T = TypeVar("T")

BURST_S = 1.0
"""As many messages as are allowed in so long may come at once: after a stall they do."""

AUDIO_MESSAGE_COST = 0.1
"""What a message counts that carries nothing but audio: it costs little, and browsers send one for
every 128 samples, 125 to 375 a second."""

FREE_AUDIO_S = 60.0
"""Sound that may come at any speed, at the beginning and whenever as much time has passed."""

LOOP_SHARE = 0.1
LOOP_BURST_S = 0.05
"""What one connection may take of the event loop: so much at once, and this share of it on and on.
A conversation takes a hundredth; a picture of 20 MB is read within the burst."""

QUICK_S = 0.01
"""Of the burst, what is taken without giving way: a handful of turns."""

ANSWER_S = 0.002
"""What an answer takes of the event loop beside that, before its first sound; it is not measured,
since engines run in tasks of their own."""

MAX_EXCESS_S = 10.0
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

    def take_tokens(self, amount: float, now: float) -> float:
        """Take `amount`; returns the seconds until it is filled up again, 0 if it was there."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def try_take_tokens(self, amount: float, now: float) -> bool:
        """Take `amount` if the bucket holds so much; returns whether it did."""
        self._fill(now)
        held = self._level >= amount
        self._level -= amount if held else 0.0
        return held

    def missing(self, now: float) -> float:
        """Return how much has been taken and not been filled up again."""
        self._fill(now)
        return self._capacity - self._level

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            filled = self._level + self._rate * (now - self._filled_at)
            self._level = min(self._capacity, filled)
        self._filled_at = now


class LoopShare:
    """The use that one connection makes of the event loop, against its share of it.

    `share` is a fraction of the time, 0 for no limit, `burst_s` what may be taken at once, and
    `quick_s` what of that without giving way; `processor_s` is the processor time of the calling
    thread. All methods but `measure` are for the event loop.
    """

    def __init__(
        self,
        share: float = LOOP_SHARE,
        processor_s: Callable[[], float] = time.thread_time,
        burst_s: float = LOOP_BURST_S,
        quick_s: float = QUICK_S,
    ) -> None:
        self._bucket = TokenBucket(share, burst_s) if share else None
        self._quick_s = quick_s
        self._processor_s = processor_s

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what the block does as the connection's. It may not wait."""
        if self._bucket is None:
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
        """Count seconds of work as the connection's."""
        if self._bucket is not None:
            self._bucket.take_tokens(taken_s, _now())

    def debt_s(self) -> float:
        """Return the seconds until the share covers what was taken."""
        return 0.0 if self._bucket is None else self._bucket.take_tokens(0, _now())

    async def repay(self) -> None:
        """Wait until the share covers what was taken."""
        if wait_s := self.debt_s():
            await asyncio.sleep(wait_s)

    @property
    def is_over_quick_share(self) -> bool:
        """True if the connection used so much recently that it yields to others."""
        return self._bucket is not None and self._bucket.missing(_now()) > self._quick_s

    async def give_way(self) -> None:
        """Wait for an idle turn of the loop, if the connection used much recently."""
        if self.is_over_quick_share:
            await idle_turn()


class RateLimiter:
    """Makes the reader of one connection wait where its client is faster than the limits."""

    def __init__(
        self, limits: RateLimits, processor_s: Callable[[], float] = time.thread_time
    ) -> None:
        self._limits = limits
        self.loop = LoopShare(limits.loop_share, processor_s)
        """What the connection takes of the event loop."""
        rate, speed = limits.messages_per_s, limits.audio_speed
        self._messages = TokenBucket(rate, max(1.0, rate * BURST_S)) if rate else None
        self._audio = TokenBucket(speed, FREE_AUDIO_S) if speed else None
        self._held_since: float | None = None

    async def wait_for_message(self, audio_only: bool) -> None:
        """Wait until a message, of nothing but audio or of more, is within the limit.

        Raises `ClientFault` when messages have come too fast for too long.
        """
        if self._messages is None:
            return
        now = _now()
        wait_s = self._messages.take_tokens(AUDIO_MESSAGE_COST if audio_only else 1.0, now)
        if not wait_s:
            self._held_since = None
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since >= MAX_EXCESS_S:
            raise too_many_messages(self._limits.messages_per_s)
        await asyncio.sleep(wait_s)

    async def wait_for_audio(self, seconds: float) -> None:
        """Wait until so many seconds of sound are within the limit."""
        if self._audio is None:
            return
        if wait_s := self._audio.take_tokens(seconds, _now()):
            await asyncio.sleep(wait_s)


def _now() -> float:
    return asyncio.get_running_loop().time()


def too_many_messages(rate: float) -> ClientFault:
    """Build the close of a client that goes on sending too many messages."""
    return ClientFault(
        POLICY,
        f"More than {rate:g} messages a second for {MAX_EXCESS_S:.0f} s: "
        "send fewer and larger ones, or raise session.messages_per_s.",
    )
