"""Registry of live connections: limit their number, and lease resumable sessions to them.

A connection holds a resumable session under a lease, a number that every resumption makes greater;
the newest connection wins. One task for the whole process renews the leases of all its sessions,
which keeps their checkpoints, too: a connection whose session was resumed elsewhere learns of it
at once, and so does one whose checkpoint the store no longer has, or cannot give now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from vivavoce.core.lifetime import CloseReason
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.ids import SessionId
from vivavoce.errors import StoreError
from vivavoce.runtime.tasks import PeriodicTask
from vivavoce.store.port import SessionStore

log = logging.getLogger(__name__)

CLOSE_MARGIN_S = 1.0
"""Time for the closes that the core sends when the drain time is over."""


class HostedConnection(Protocol):
    """Connection as the registry sees it."""

    def schedule_close(self, reason: CloseReason, time_left_s: float) -> None: ...


class Connections:
    """Registry of at most `limit` live connections; draining admits no more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.draining = False
        self._live: set[HostedConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[HostedConnection]:
        return iter(tuple(self._live))

    @property
    def admits(self) -> bool:
        """True if there is room for one more connection."""
        return not self.draining and len(self._live) < self.limit

    @contextmanager
    def register(self, connection: HostedConnection) -> Iterator[None]:
        """Register `connection` as live while the block runs. Check `admits` first."""
        self._live.add(connection)
        self._empty.clear()
        try:
            yield
        finally:
            self._live.discard(connection)
            if not self._live:
                self._empty.set()

    async def drain(self, time_left_s: float) -> bool:
        """Stop admitting, schedule every close, and wait; return whether all have ended."""
        self.draining = True
        for connection in self:
            connection.schedule_close(CloseReason.DRAIN, time_left_s)
        try:
            async with asyncio.timeout(time_left_s + CLOSE_MARGIN_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("sessions outlived the drain", extra={"count": len(self._live)})
        return not self._live


RENEW_INTERVAL_S = 2.0
HANDOVER_TIMEOUT_S = 1.0
"""Timeout for a connection to hand over its session."""


class LeaseHolder(Protocol):
    """Connection as the leases see it."""

    def supersede(self) -> None: ...

    def hand_over(self) -> asyncio.Future[Checkpoint | None]: ...

    def lose_checkpoint(self) -> None: ...


@dataclass(slots=True)
class _Held:
    holder: LeaseHolder
    lease: int
    on_record: bool


class Leases:
    """Leases of this process on resumable sessions, renewed in the store while they are held."""

    def __init__(
        self,
        store: SessionStore,
        resume_s: float,
        now: Callable[[], float] = time.time,
        renew_interval_s: float = RENEW_INTERVAL_S,
    ) -> None:
        self._store = store
        self._resume_s = resume_s
        self._now = now
        self._held: dict[SessionId, _Held] = {}
        self._renewal = PeriodicTask("leases", renew_interval_s, self.renew_leases)

    def start(self) -> None:
        """Start renewing the leases."""
        self._renewal.start()

    async def aclose(self) -> None:
        """Stop renewing the leases."""
        await self._renewal.aclose()

    @contextmanager
    def hold_lease(self, session: SessionId, lease: int, holder: LeaseHolder) -> Iterator[None]:
        """Hold the lease of a session while the block runs; supersede its earlier holder here."""
        if (older := self._held.get(session)) is not None:
            older.holder.supersede()
        held = self._held[session] = _Held(holder, lease, on_record=lease > 1)
        try:
            yield
        finally:
            if self._held.get(session) is held:
                del self._held[session]

    def holds(self, session: SessionId) -> bool:
        """Return whether a connection of this process holds the session."""
        return session in self._held

    async def take_over(self, session: SessionId) -> Checkpoint | None:
        """Supersede the holder in this process and return its last checkpoint.

        Returns the checkpoint that it has not saved, if there is one.
        """
        held = self._held.get(session)
        if held is None:
            return None
        done, _ = await asyncio.wait({held.holder.hand_over()}, timeout=HANDOVER_TIMEOUT_S)
        return next((future.result() for future in done), None)

    async def renew_leases(self) -> None:
        """Renew all leases once."""
        held = dict(self._held)
        if not held:
            return
        now = self._now()
        try:
            present = await self._store.renew_sessions(
                {session: each.lease for session, each in held.items()}, now, now + self._resume_s
            )
        except StoreError as error:
            log.warning(
                "leases were not renewed", extra={"count": len(held), "problem": str(error)}
            )
            for each in held.values():
                each.holder.lose_checkpoint()
            return
        for session, each in held.items():
            lease = present.get(session)
            if lease is None:
                if each.on_record:
                    each.holder.lose_checkpoint()
                each.on_record = False
            elif lease > each.lease:
                each.holder.supersede()
            else:
                each.on_record = True
