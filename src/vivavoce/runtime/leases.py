"""Which connection holds which session, over all processes that share a store.

A connection holds its session under a lease, a number that every resumption makes greater; the
newest connection wins. One task for the whole process looks every `LEASE_S` at the leases of all
its sessions, which keeps them on record as well: a connection whose session was resumed elsewhere
is told at once, and so is one whose record the store no longer has, or cannot give now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.ids import SessionId
from vivavoce.errors import StoreError
from vivavoce.store.port import SessionStore

log = logging.getLogger(__name__)

LEASE_S = 2.0
HANDOVER_S = 1.0


class LeaseHolder(Protocol):
    """What is told to a connection that holds a session."""

    def supersede(self) -> None: ...

    def hand_over(self) -> asyncio.Future[Checkpoint | None]: ...

    def lose_checkpoint(self) -> None: ...


@dataclass(slots=True)
class _Held:
    holder: LeaseHolder
    lease: int
    on_record: bool


class Leases:
    """The resumable sessions of this process. `start` and `aclose` once each."""

    def __init__(
        self,
        store: SessionStore,
        resume_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._resume_s = resume_s
        self._now = now
        self._held: dict[SessionId, _Held] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look after them."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="leases")

    async def aclose(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def hold_lease(self, session: SessionId, lease: int, holder: LeaseHolder) -> Iterator[None]:
        """Hold the session while the block runs. A connection here that held it is told."""
        if (older := self._held.get(session)) is not None:
            older.holder.supersede()
        held = self._held[session] = _Held(holder, lease, on_record=lease > 1)
        try:
            yield
        finally:
            if self._held.get(session) is held:
                del self._held[session]

    def holds(self, session: SessionId) -> bool:
        """Whether a connection here holds this session."""
        return session in self._held

    async def take_over(self, session: SessionId) -> Checkpoint | None:
        """What a connection here, which held this session, leaves unrecorded of it.

        It is told that the session was taken, and given `HANDOVER_S` to wind up.
        """
        held = self._held.get(session)
        if held is None:
            return None
        done, _ = await asyncio.wait({held.holder.hand_over()}, timeout=HANDOVER_S)
        return next((future.result() for future in done), None)

    async def renew_leases(self) -> None:
        """Look at all of them once."""
        held = dict(self._held)
        if not held:
            return
        now = self._now()
        try:
            present = await self._store.renew_sessions(
                {session: each.lease for session, each in held.items()}, now, now + self._resume_s
            )
        except StoreError as error:
            log.warning("sessions cannot be renewed: count=%d why=%s", len(held), error)
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

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S)
            try:
                await self.renew_leases()
            except Exception:
                log.exception("leases could not be looked at")
