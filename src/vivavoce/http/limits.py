"""Limit unauthenticated clients: connections, buffered bytes, failed logins; throttle log lines.

A connection is *admitted* when its session's caller is: its credential was checked, or, on a server
without keys, its setup was accepted. An unauthenticated connection is free for an attacker, so

- one client network (an IPv4 address, a /64 of IPv6) has at most a quarter of the connections that
  are not admitted; the oldest of them is closed for a new one;
- when every slot is taken, the network with the most such connections loses its oldest one;
- the last twentieth of the slots is kept for networks with an admitted connection, now or within
  the last `ADMITTED_MEMORY_S`;
- one connection may send `first_message_bytes` in `MAX_FRAMES` frames, and all of them together
  `waiting_bytes`;
- after `UNDELAYED_FAILURES` wrong credentials from a network each further one is answered later;
- no client may fill a disk, or hide a line that matters, with log lines of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from vivavoce.errors import INTERNAL, TOO_BIG
from vivavoce.protocol import close

# --- connections ---------------------------------------------------------------------------------

NETWORK_SHARE = 4
NETWORK_FLOOR = 16
"""Connections that one network may always have, however few the server takes in all."""

RESERVED_SHARE = 20
ADMITTED_MEMORY_S = 600.0
MAX_ADMITTED_NETWORKS = 10_000
MAX_FRAMES = 1024
"""Frames before admission, at most: a setup is one frame, or few fragments and pings."""

Close = tuple[int, str]
"""A close code and its reason."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of unauthenticated connections.

    `first_message_bytes` is for a connection that is not admitted yet, `waiting_bytes` for all
    such connections together.
    """

    handshake_s: float = 10.0
    max_head_bytes: int = 32 * 1024
    max_message_bytes: int = 32 * 1024 * 1024
    max_connections: int = 1000
    first_message_bytes: int = 1024 * 1024
    waiting_bytes: int = 32 * 1024 * 1024


class ConnectionSlot:
    """Slot of one open connection: its limits until admission."""

    def __init__(self, limiter: ConnectionLimiter, network: str) -> None:
        self.network = network
        self.requested = False
        """True once a whole request has arrived: connections without one are closed first."""
        self.admitted = False
        self.bytes = 0
        """Bytes that arrived before admission and may still be buffered."""
        self._limiter = limiter
        self._abort: Callable[[], object] | None = None
        self._frames = 0
        self._allowed_bytes = limiter.limits.first_message_bytes
        self._excess: Close = TOO_BIG, close.MESSAGE_TOO_BIG
        self._released = False

    def attach(self, abort: Callable[[], object]) -> None:
        """Attach the function that aborts the connection."""
        self._abort = abort

    def admit(self) -> None:
        """Lift the limits, since the client was admitted."""
        if not (self.admitted or self._released):
            self._limiter.admit(self)
            self.admitted = True
            self.reset_bytes()

    def refuse(self, refusal: Close, allowed_bytes: int) -> None:
        """Allow only so many bytes from now on; more of them are answered by `refusal`."""
        self._excess = refusal
        self._allowed_bytes = self.bytes + allowed_bytes

    def count_bytes(self, count: int) -> Close | None:
        """Count received bytes; return the close code and reason if they are too many."""
        if self.admitted or self._released:
            return None
        self.bytes += count
        self._limiter.waiting_bytes += count
        if self.bytes > self._allowed_bytes:
            return self._excess
        return None if self._limiter.hold_bytes(self) else (INTERNAL, close.UNAVAILABLE)

    def count_frame(self) -> Close | None:
        """Count a received frame; return as `count_bytes`."""
        if self.admitted:
            return None
        self._frames += 1
        return self._excess if self._frames > MAX_FRAMES else None

    def reset_bytes(self) -> None:
        """Reset the count of buffered bytes."""
        self._limiter.waiting_bytes -= self.bytes
        self.bytes = 0

    def abort(self) -> None:
        """Abort the connection in favor of another one."""
        abort = self._abort
        self.release()
        if abort is not None:
            abort()

    def release(self) -> None:
        """Release the slot. Only the first call has an effect."""
        self.reset_bytes()
        self._abort = None
        if not self._released:
            self._released = True
            self._limiter.release(self)


class ConnectionLimiter:
    """Limiter of all connections of a server. `clock` is monotonic, in seconds."""

    def __init__(
        self, limits: ConnectionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.waiting_bytes = 0
        self._clock = clock
        self._network_limit = max(NETWORK_FLOOR, limits.max_connections // NETWORK_SHARE)
        self._reserved = limits.max_connections // RESERVED_SHARE
        self._waiting: dict[str, dict[ConnectionSlot, None]] = {}
        self._admitted: Counter[str] = Counter()
        self._admitted_at: OrderedDict[str, float] = OrderedDict()

    @property
    def taken(self) -> int:
        """Number of slots taken."""
        return self._admitted.total() + sum(map(len, self._waiting.values()))

    def acquire(self, address: str) -> ConnectionSlot | None:
        """Take a slot for a new connection from `address`; `None` if it has to be refused."""
        network = client_network(address)
        if len(self._waiting.get(network, ())) >= self._network_limit:
            self._cut_oldest(network)
        reserved = 0 if self._remembers(network) else self._reserved
        if self.taken >= self.limits.max_connections - reserved:
            if not self._waiting:
                return None
            self._cut_oldest(max(self._waiting, key=lambda each: len(self._waiting[each])))
        slot = ConnectionSlot(self, network)
        self._waiting.setdefault(network, {})[slot] = None
        return slot

    def admit(self, slot: ConnectionSlot) -> None:
        """Count `slot` as admitted."""
        self._leave_waiting(slot)
        self._admitted[slot.network] += 1
        self._remember(slot.network)

    def release(self, slot: ConnectionSlot) -> None:
        """Release `slot`."""
        if not slot.admitted:
            self._leave_waiting(slot)
            return
        self._admitted -= Counter((slot.network,))
        self._remember(slot.network)

    def hold_bytes(self, slot: ConnectionSlot) -> bool:
        """Return whether `slot` may buffer its bytes; may abort the largest buffer for them."""
        if self.waiting_bytes <= self.limits.waiting_bytes:
            return True
        all_waiting = (each for waiting in self._waiting.values() for each in waiting)
        greatest = max(all_waiting, key=lambda each: each.bytes)
        if greatest is slot:
            return False
        greatest.abort()
        return True

    def _leave_waiting(self, slot: ConnectionSlot) -> None:
        waiting = self._waiting[slot.network]
        del waiting[slot]
        if not waiting:
            del self._waiting[slot.network]

    def _cut_oldest(self, network: str) -> None:
        waiting = self._waiting[network]
        silent = (slot for slot in waiting if not slot.requested)
        next(silent, next(iter(waiting))).abort()

    def _remember(self, network: str) -> None:
        self._admitted_at[network] = self._clock()
        self._admitted_at.move_to_end(network)
        while len(self._admitted_at) > MAX_ADMITTED_NETWORKS:
            self._admitted_at.popitem(last=False)

    def _remembers(self, network: str) -> bool:
        admitted_at = self._admitted_at.get(network)
        recently = admitted_at is not None and self._clock() - admitted_at < ADMITTED_MEMORY_S
        return recently or network in self._admitted


# --- failed authentications ----------------------------------------------------------------------

UNDELAYED_FAILURES = 5
DELAY_STEP_S = 0.25
MAX_DELAY_S = 5.0
RESET_S = 60.0
"""Time without a failure after which a network counts from zero again."""

MAX_DELAYED = 20
MAX_ADDRESSES = 10_000
"""Networks remembered; those that failed longest ago are dropped first."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    waiting: int = 0


class AuthFailureLimiter:
    """Limiter of failed authentications by client network. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def is_overloaded(self, address: str) -> bool:
        """Return whether too many failures await their delayed answers."""
        failures = self._failures.get(client_network(address))
        return failures is not None and failures.waiting >= MAX_DELAYED

    async def delay_failure(self, address: str) -> None:
        """Count a failure, and return once it may be answered."""
        network = client_network(address)
        failures = self._failures.setdefault(network, _Failures())
        self._failures.move_to_end(network)
        if self._clock() - failures.last >= RESET_S:
            failures.count = 0
        failures.count += 1
        failures.last = self._clock()
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        excess = failures.count - UNDELAYED_FAILURES
        if excess <= 0:
            return
        failures.waiting += 1
        try:
            await asyncio.sleep(min(MAX_DELAY_S, DELAY_STEP_S * 2 ** min(excess, 10) / 2))
        finally:
            failures.waiting -= 1


@lru_cache(maxsize=1024)
def client_network(address: str) -> str:
    """Return the network by which an address is limited: itself, or the /64 in IPv6.

    Who has one address of such a /64 has all of them.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:  # as a listener on both families names one
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


# --- log lines -----------------------------------------------------------------------------------

MAX_LINES = 10
PERIOD_S = 60.0


@dataclass(slots=True)
class _Period:
    began: float
    lines: int = 0
    left_out: int = 0


class LineRateLimit(logging.Filter):
    """Log filter that passes at most `lines` of the same sentence in `period_s` seconds.

    The first line of the next period carries the number that was left out, as `left_out`.
    Sentences are distinguished before arguments are filled in.
    """

    def __init__(
        self,
        lines: int = MAX_LINES,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._lines, self._period_s, self._clock = lines, period_s, clock
        self._periods: dict[str, _Period] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is logged."""
        now = self._clock()
        period = self._periods.get(str(record.msg))
        if period is None or now - period.began >= self._period_s:
            if period is not None and period.left_out:
                record.left_out = period.left_out
            period = self._periods[str(record.msg)] = _Period(now)
        period.lines += 1
        if period.lines <= self._lines:
            return True
        period.left_out += 1
        return False


refusals = logging.getLogger("vivavoce.http.refusals")
refusals.addFilter(LineRateLimit())
