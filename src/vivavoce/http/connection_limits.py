"""Bound the connections and the buffered bytes of clients that have not been admitted.

A connection is *admitted* when its session's caller is: its credential was checked, or, on a server
without keys, its setup was accepted. Until then it costs its sender nothing, so

- one client network (an IPv4 address, a /64 of IPv6) has at most a quarter of the connections that
  are not admitted; the oldest of them is closed for a new one;
- when every slot is taken, the network with the most such connections loses its oldest one;
- the last twentieth of the slots is kept for networks with an admitted connection, now or within
  the last `REMEMBER_S`;
- one connection may send `first_message_bytes` in `MAX_FRAMES` frames, and all of them together
  `waiting_bytes`.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.errors import INTERNAL, TOO_BIG
from vivavoce.http.auth_failures import client_network
from vivavoce.protocol import close

NETWORK_SHARE = 4
NETWORK_FLOOR = 16
"""Connections that one network may always have, however few the server takes in all."""

RESERVED_SHARE = 20
REMEMBER_S = 600.0
REMEMBERED = 10_000
MAX_FRAMES = 1024
"""Frames before admission: a setup comes in one, or in a few fragments with a ping between them."""

Close = tuple[int, str]
"""A close code and its reason."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of what one client may take. Seconds and bytes as the names say.

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
    """One open connection's place among all others."""

    def __init__(self, limiter: ConnectionLimiter, network: str) -> None:
        self.network = network
        self.requested = False
        """Whether a whole request has arrived: connections without one are closed first."""
        self.admitted = False
        self.bytes = 0
        """Bytes that arrived before admission and may still be buffered."""
        self._limiter = limiter
        self._abort: Callable[[], object] | None = None
        self._frames = 0
        self._allowed_bytes = limiter.limits.first_message_bytes
        self._excess: Close = TOO_BIG, close.MESSAGE_TOO_BIG
        self._released = False

    @property
    def opened(self) -> bool:
        """Whether a protocol has taken the connection over."""
        return self._abort is not None

    def open(self, abort: Callable[[], object]) -> None:
        """Note how the connection can be cut."""
        self._abort = abort

    def admit(self) -> None:
        """Lift the bounds: the caller may use the server."""
        if not (self.admitted or self._released):
            self._limiter.admit(self)
            self.admitted = True
            self.forget_bytes()

    def refuse(self, refusal: Close, allowed_bytes: int) -> None:
        """Allow only so many bytes from now on; `refusal` is how more of them are answered."""
        self._excess = refusal
        self._allowed_bytes = self.bytes + allowed_bytes

    def count_bytes(self, count: int) -> Close | None:
        """Count bytes that arrived. Returns the close that answers them if they are too many."""
        if self.admitted or self._released:
            return None
        self.bytes += count
        self._limiter.waiting_bytes += count
        if self.bytes > self._allowed_bytes:
            return self._excess
        return None if self._limiter.hold_bytes(self) else (INTERNAL, close.UNAVAILABLE)

    def count_frame(self) -> Close | None:
        """Count a frame that arrived; as `count_bytes`."""
        if self.admitted:
            return None
        self._frames += 1
        return self._excess if self._frames > MAX_FRAMES else None

    def forget_bytes(self) -> None:
        """Note that nothing of what was counted is buffered any more."""
        self._limiter.waiting_bytes -= self.bytes
        self.bytes = 0

    def cut(self) -> None:
        """Close the connection at once, in favor of another one."""
        abort = self._abort
        self.release()
        if abort is not None:
            abort()

    def release(self) -> None:
        """Give the slot back. Only the first call counts."""
        self.forget_bytes()
        self._abort = None
        if not self._released:
            self._released = True
            self._limiter.release(self)


class ConnectionLimiter:
    """All slots of a server. `clock` is any clock in seconds that does not go back."""

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
        """How many slots are taken."""
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
        """Count `slot`, which was not, as admitted."""
        self._leave_waiting(slot)
        self._admitted[slot.network] += 1
        self._remember(slot.network)

    def release(self, slot: ConnectionSlot) -> None:
        """Count `slot` no more."""
        if not slot.admitted:
            self._leave_waiting(slot)
            return
        self._admitted -= Counter((slot.network,))
        self._remember(slot.network)

    def hold_bytes(self, slot: ConnectionSlot) -> bool:
        """Whether what `slot` has sent may stay, cutting the connection that holds most for it."""
        if self.waiting_bytes <= self.limits.waiting_bytes:
            return True
        all_waiting = (each for waiting in self._waiting.values() for each in waiting)
        greatest = max(all_waiting, key=lambda each: each.bytes)
        if greatest is slot:
            return False
        greatest.cut()
        return True

    def _leave_waiting(self, slot: ConnectionSlot) -> None:
        waiting = self._waiting[slot.network]
        del waiting[slot]
        if not waiting:
            del self._waiting[slot.network]

    def _cut_oldest(self, network: str) -> None:
        waiting = self._waiting[network]
        silent = (slot for slot in waiting if not slot.requested)
        next(silent, next(iter(waiting))).cut()

    def _remember(self, network: str) -> None:
        self._admitted_at[network] = self._clock()
        self._admitted_at.move_to_end(network)
        while len(self._admitted_at) > REMEMBERED:
            self._admitted_at.popitem(last=False)

    def _remembers(self, network: str) -> bool:
        admitted_at = self._admitted_at.get(network)
        recently = admitted_at is not None and self._clock() - admitted_at < REMEMBER_S
        return recently or network in self._admitted
