"""Guessing keys, made slow: whoever fails often is answered late.

Failures are counted by the address that a connection comes from. The first few are answered at
once, for people mistype; then each further one waits longer, up to `MAX_DELAY_S`. Guesses that are
made side by side gain nothing: while `MAX_DELAYED` answers to an address are waiting, it is refused
without a look at what it presents.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

UNDELAYED_FAILURES = 5
DELAY_STEP_S = 0.25
MAX_DELAY_S = 5.0
RESET_S = 60.0
"""An address that has not failed for so long begins anew."""

MAX_DELAYED = 20
MAX_ADDRESSES = 10_000
"""So many are remembered; the ones that failed longest ago are forgotten first."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    waiting: int = 0


class AuthFailureLimiter:
    """Who failed how often. `clock` is any clock in seconds that does not go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def is_overloaded(self, address: str) -> bool:
        """Whether so many of its guesses wait for their answers that no other is looked at."""
        failures = self._failures.get(client_network(address))
        return failures is not None and failures.waiting >= MAX_DELAYED

    async def delay_failure(self, address: str) -> None:
        """A guess was wrong. Returns when it may be told."""
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
    """Return what is counted for an address: itself, or the /64 of an address of IPv6.

    Who has one address of such a network has all others, too.
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
