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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vivavoce.errors import POLICY, ClientFault
from vivavoce.runtime.event_loop import idle_turn

T = TypeVar("T")

BURST_S = 1.0
"""Messages that may come at once, in seconds of the allowed rate: after a stall they do."""

AUDIO_MESSAGE_COST = 0.1
"""Weight of a message of audio only: it costs little, and browsers send one for
every 128 samples, 125 to 375 a second."""

FREE_AUDIO_S = 60.0
"""Audio that may come faster than real time, at the beginning and after as much time."""

LOOP_SHARE = 0.1
LOOP_BURST_S = 0.05
"""Event-loop time of one connection: this burst at once, and this share of it continuously.
A conversation takes a hundredth; a picture of 20 MB is read within the burst."""

YIELD_AFTER_S = 0.01
"""Part of the burst that is used without yielding to others: a handful of turns."""

ANSWER_COST_S = 0.002
"""Estimated event-loop time of an answer before its first audio; it is not measured,
since engines run in tasks of their own."""

MAX_EXCESS_S = 10.0
"""Time for which messages may come too fast before the client is closed."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits on the input of each connection; 0 is no limit. `audio_speed` is times real time.

    `loop_share` is what it may take of the event loop, by the processor time of its thread.
    """

    messages_per_s: float = 100.0
    audio_speed: float = 4.0
    loop_share: float = LOOP_SHARE


class TokenBucket:
    """Token bucket, filled at `rate` up to `capacity`; it may be overdrawn and then waited for."""

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate = rate
        self._capacity = self._level = capacity
        self._filled_at: float | None = None

    def take_tokens(self, amount: float, now: float) -> float:
        """Take `amount`; return the seconds until the bucket is no longer overdrawn."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def try_take_tokens(self, amount: float, now: float) -> bool:
        """Take `amount` if the bucket holds as much; return whether it did."""
        self._fill(now)
        held = self._level >= amount
        self._level -= amount if held else 0.0
        return held

    @property
    def missing_at_most(self) -> float:
        """Tokens that were missing to a full bucket when some were last taken."""
        return self._capacity - self._level

    def missing(self, now: float) -> float:
        """Return the tokens missing to a full bucket."""
        return self._capacity - self.held(now)

    def held(self, now: float) -> float:
        """Return the tokens in the bucket; negative while it is overdrawn."""
        self._fill(now)
        return self._level

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            filled = self._level + self._rate * (now - self._filled_at)
            self._level = min(self._capacity, filled)
        self._filled_at = now


class LoopShare:
    """Accounting of one connection's event-loop time against its share.

    `share` is a fraction of the time, 0 for no limit, `burst_s` what may be taken at once, and
    `yield_after_s` what of that without yielding; `processor_s` is the processor time of the
    calling thread. All methods but `measure` are for the event loop.
    """

    def __init__(
        self,
        share: float = LOOP_SHARE,
        processor_s: Callable[[], float] = time.thread_time,
        burst_s: float = LOOP_BURST_S,
        yield_after_s: float = YIELD_AFTER_S,
    ) -> None:
        self._bucket = TokenBucket(share, burst_s) if share else None
        self._yield_after_s = yield_after_s
        self.processor_s = processor_s
        self.in_span = False
        self.unyielded_s = 0.0
        """Work counted since the reader last yielded to the loop, which resets it."""

    def working(self) -> WorkSpan:
        """Return a context that counts its processor time as the connection's; it may not await."""
        return WorkSpan(self)

    def measure(self, work: Callable[[], T]) -> tuple[T, float]:
        """Run `work`; return its result and the processor seconds it took in this thread.

        It changes nothing here, so that any thread may call it; `count_work` counts the seconds.
        """
        began = self.processor_s()
        result = work()
        return result, self.processor_s() - began

    def count_work(self, taken_s: float) -> None:
        """Count seconds of work as the connection's."""
        self.unyielded_s += taken_s
        if self._bucket is not None:
            self._bucket.take_tokens(taken_s, _now())

    def debt_s(self) -> float:
        """Return the seconds until the connection is within its share again."""
        return 0.0 if self._bucket is None else self._bucket.take_tokens(0, _now())

    async def repay(self) -> None:
        """Wait until the connection is within its share again."""
        if wait_s := self.debt_s():
            await asyncio.sleep(wait_s)

    @property
    def should_yield(self) -> bool:
        """True if the connection used so much recently that it yields to others."""
        bucket = self._bucket
        if bucket is None or bucket.missing_at_most <= self._yield_after_s:
            return False
        return bucket.missing(_now()) > self._yield_after_s

    async def yield_to_loop(self) -> None:
        """Wait for an idle turn of the loop if the connection used much recently."""
        if self.should_yield:
            await idle_turn()


class WorkSpan:
    """Span of work without an `await`, whose processor time counts as the connection's.

    A span within another one is part of that: to read the thread's clock takes a system call.
    """

    __slots__ = ("_began", "_share")

    def __init__(self, share: LoopShare) -> None:
        self._share = share
        self._began: float | None = None

    def __enter__(self) -> None:
        if not self._share.in_span:
            self._share.in_span = True
            self._began = self._share.processor_s()

    def __exit__(self, *_: object) -> None:
        if self._began is not None:
            self._share.in_span = False
            self._share.count_work(self._share.processor_s() - self._began)


class RateLimiter:
    """Rate limiter of one connection: its reader waits when the client exceeds the limits."""

    def __init__(
        self, limits: RateLimits, processor_s: Callable[[], float] = time.thread_time
    ) -> None:
        self._limits = limits
        self.loop = LoopShare(limits.loop_share, processor_s)
        """The connection's share of the event loop."""
        rate, speed = limits.messages_per_s, limits.audio_speed
        self._messages = TokenBucket(rate, max(1.0, rate * BURST_S)) if rate else None
        self._audio = TokenBucket(speed, FREE_AUDIO_S) if speed else None
        self._held_since: float | None = None

    async def wait_for_message(self, audio_only: bool) -> None:
        """Wait until one more message, of audio only or not, is within the limit.

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

    def admit_audio(self, seconds: float) -> bool:
        """Count a message of so much audio if it need not wait; return whether it was counted."""
        if self.loop.should_yield:
            return False
        now, messages, audio = _now(), self._messages, self._audio
        if messages is not None and messages.held(now) < AUDIO_MESSAGE_COST:
            return False
        if audio is not None and not audio.try_take_tokens(seconds, now):
            return False
        if messages is not None:
            messages.try_take_tokens(AUDIO_MESSAGE_COST, now)
        self._held_since = None
        return True

    async def wait_for_audio(self, seconds: float) -> None:
        """Wait until so many more seconds of audio are within the limit."""
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
