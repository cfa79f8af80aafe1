"""Enforce quotas of principals: sessions, audio and calls a day, messages a second.

Sessions and daily sums are kept in the store, so that quotas hold over all servers that share it.
Usage is counted here and added up there every `FLUSH_S` by one task for the process; messages are
counted here alone. While the store is unavailable no sum is enforced: conversations continue, and
their usage is added later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vivavoce.domain.accounts import Principal
from vivavoce.errors import INTERNAL, ClientFault, StoreError
from vivavoce.protocol import close
from vivavoce.runtime.rate_limit import TokenBucket
from vivavoce.runtime.tasks import PeriodicTask
from vivavoce.store.port import QuotaStore

log = logging.getLogger(__name__)

FLUSH_S = 3.0
SLOT_LEASE_S = 15.0
"""Lease of a counted session, which its process renews."""

BURST_S = 2.0
"""Messages that may come at once, in seconds of the allowed rate."""

DAY_S = 86_400.0

AUDIO, CALLS = "audio", "calls"


def quota_fault() -> ClientFault:
    """Build the refusal for an exceeded quota."""
    return ClientFault(INTERNAL, close.QUOTA)


def _nothing() -> None:
    pass


class UsageMeter:
    """Meter of one connection's usage; calls `on_exceeded` when the daily quota is spent."""

    def __init__(self, account: _Account, holder: str) -> None:
        self._account = account
        self.holder = holder
        self.on_exceeded: Callable[[], None] = _nothing

    def count_message(self) -> None:
        """Count a message of the client. Raises `ClientFault` if they come too fast."""
        self._account.count_message()

    def count_audio(self, seconds: float) -> None:
        """Count seconds of audio, received or sent."""
        self._account.taken[AUDIO] += seconds

    def count_tool_calls(self, count: int) -> None:
        """Count calls of functions, the client's and the server's own."""
        self._account.taken[CALLS] += count


@dataclass(slots=True)
class _Account:
    """Account of one principal: sessions in this process, and usage not yet in the store."""

    principal: Principal
    clock: Callable[[], float]
    meters: dict[str, UsageMeter] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=lambda: {AUDIO: 0.0, CALLS: 0.0})
    messages: TokenBucket | None = None
    rate: float = 0.0
    """Rate for which the bucket `messages` was built."""

    @property
    def limits(self) -> dict[str, float]:
        """Daily limits in seconds of audio and calls, without entries for unlimited ones."""
        quota = self.principal.quota
        limits = {AUDIO: quota.audio_minutes * 60, CALLS: float(quota.tool_calls)}
        return {what: limit for what, limit in limits.items() if limit > 0}

    def count_message(self) -> None:
        rate = self.principal.quota.messages_per_s
        if rate != self.rate:
            self.rate = rate
            self.messages = TokenBucket(rate, max(1.0, rate * BURST_S)) if rate > 0 else None
        if self.messages is not None and not self.messages.try_take_tokens(1.0, self.clock()):
            raise quota_fault()


class Quotas:
    """Quotas of all principals in this process. `start` and `aclose` once each."""

    def __init__(
        self,
        store: QuotaStore,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now, self._clock = now, clock
        self._accounts: dict[str, _Account] = {}
        self._flushing = PeriodicTask("quotas", FLUSH_S, self.flush)

    def start(self) -> None:
        """Start writing usage to the store periodically."""
        self._flushing.start()

    async def aclose(self) -> None:
        """Write the remaining usage to the store, and stop."""
        await self._flushing.aclose()
        await self.flush()

    async def admit_session(self, principal: Principal, holder: str) -> UsageMeter:
        """Admit one more session of a principal. Raises `ClientFault` if its quota is spent."""
        account = self._accounts.setdefault(principal.id, _Account(principal, self._clock))
        account.principal = principal  # limits may have been changed meanwhile
        meter = account.meters[holder] = UsageMeter(account, holder)
        try:
            admitted = await self._hold(principal, holder) and not await self._spent(account)
        except StoreError as error:
            log.warning("quota could not be checked", extra={"problem": str(error)})
            return meter
        except BaseException:  # cancelled: the caller has no meter to release
            account.meters.pop(holder, None)
            raise
        if not admitted:
            await self.release_session(principal, meter)
            raise quota_fault()
        return meter

    async def release_session(self, principal: Principal, meter: UsageMeter) -> None:
        """Release an ended session."""
        meter.on_exceeded = _nothing  # which refers to the connection, and that to the meter
        account = self._accounts.get(principal.id)
        if account is None:
            return
        if account.meters.get(meter.holder) is meter:  # else another connection here resumed it
            del account.meters[meter.holder]
            if principal.quota.sessions:
                with suppress(StoreError):
                    await self._store.release_slot(principal.id, meter.holder)
        with suppress(StoreError):
            await self._add(account)
        if not account.meters and not any(account.taken[what] for what in account.limits):
            self._accounts.pop(principal.id, None)

    async def flush(self) -> None:
        """Write usage to the store, renew sessions, and notify those over their quota."""
        for account in tuple(self._accounts.values()):
            try:
                for holder in tuple(account.meters):
                    await self._hold(account.principal, holder)
                    if holder not in account.meters:  # it ended meanwhile
                        await self._store.release_slot(account.principal.id, holder)
                if await self._add(account):
                    for meter in tuple(account.meters.values()):
                        meter.on_exceeded()
            except StoreError as error:
                log.warning("usage could not be added up", extra={"problem": str(error)})
                return

    async def _hold(self, principal: Principal, holder: str) -> bool:
        limit = principal.quota.sessions
        if not limit:
            return True
        now = self._now()
        return await self._store.acquire_slot(principal.id, holder, limit, now, now + SLOT_LEASE_S)

    async def _add(self, account: _Account) -> bool:
        """Add usage to the daily totals; return whether one exceeds its limit."""
        over = False
        for what, limit in account.limits.items():
            amount, account.taken[what] = account.taken[what], 0.0
            try:
                total = await self._count(account, what, amount)
            except StoreError:
                account.taken[what] += amount
                raise
            over = over or total > limit
        return over

    async def _spent(self, account: _Account) -> bool:
        """Return whether a daily quota is spent."""
        for what, limit in account.limits.items():
            if await self._count(account, what, 0.0) >= limit:
                return True
        return False

    async def _count(self, account: _Account, what: str, amount: float) -> float:
        now = self._now()
        day = datetime.fromtimestamp(now, UTC).date()
        end = (now // DAY_S + 1) * DAY_S
        return await self._store.add_usage(account.principal.id, f"{what} {day}", amount, now, end)
