"""The live connections of this process: how many there may be, and how they are sent home."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from vivavoce.core.lifetime import CloseReason

log = logging.getLogger(__name__)

CLOSE_MARGIN_S = 1.0
"""How long the closes may take that the core sends when the time is over."""


class HostedConnection(Protocol):
    """What the registry asks of a connection."""

    def schedule_close(self, reason: CloseReason, time_left_s: float) -> None: ...


class Connections:
    """At most `limit` connections at a time; none is admitted once draining has begun."""

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
        """Whether one more connection is welcome."""
        return not self.draining and len(self._live) < self.limit

    @contextmanager
    def hosting(self, connection: HostedConnection) -> Iterator[None]:
        """Count `connection` as live while the block runs. Ask `admits` first."""
        self._live.add(connection)
        self._empty.clear()
        try:
            yield
        finally:
            self._live.discard(connection)
            if not self._live:
                self._empty.set()

    async def drain(self, time_left_s: float) -> bool:
        """Admit nobody, tell everybody, wait. True if all have gone when it returns."""
        self.draining = True
        for connection in self:
            connection.schedule_close(CloseReason.DRAIN, time_left_s)
        try:
            async with asyncio.timeout(time_left_s + CLOSE_MARGIN_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("sessions outlived the drain: count=%s", len(self._live))
        return not self._live
