"""A conversation that outlives its connections, as those of the official SDKs' users do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from vivavoce.client.live import Endpoint, LiveSession, Session, Unreachable, Untrusted, connect
from vivavoce.client.messages import (
    HandleOffered,
    LiveError,
    Resumed,
    ServerMessage,
    SessionOptions,
)

PATIENCE_S = 30.0
"""How long a server may be away, for a restart, until the conversation is given up."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
"""Between two tries, doubled from the one to the other."""

RECOVERABLE = frozenset({1001, 1006, 1011, 1012, 1013})
"""Ends that are no judgement on this client: lost, going away, restarting, for now too busy."""


class ResumingSession(Session):
    """A conversation over as many connections as it takes.

    When the server ends a connection, the next one goes on from the newest handle, and whoever
    sends meanwhile waits; then iteration gives a `Resumed`. It raises what stood in the way when
    the server says no, or stays away for `patience_s`: `LiveError` or `Unreachable`. A session
    that was never offered a handle ends with its connection.
    """

    def __init__(self, endpoint: Endpoint, options: SessionOptions, patience_s: float) -> None:
        self._endpoint = endpoint
        self._options = options
        self._patience_s = patience_s
        self._held = AsyncExitStack()
        self._live: LiveSession | None = None
        self._changing = asyncio.Lock()
        self._lost: LiveError | Unreachable | None = None

    async def open(self) -> None:
        """The first connection, or the next one. Raises `LiveError`, `Unreachable`."""
        await self._held.aclose()
        self._live = await self._held.enter_async_context(connect(self._endpoint, self._options))

    async def aclose(self) -> None:
        """Close the connection that there is, with 1000."""
        await self._held.aclose()

    async def send(self, message: dict[str, Any]) -> None:
        while True:
            live = self._connected()
            try:
                return await live.send(message)
            except LiveError as ended:
                await self._go_on(live, ended)

    async def __anext__(self) -> ServerMessage:
        live = self._connected()
        try:
            message = await anext(live)
        except LiveError as ended:
            await self._go_on(live, ended)
            return Resumed(ended)
        if isinstance(message, HandleOffered) and message.handle:
            self._options = replace(self._options, handle=message.handle)
        return message

    def _connected(self) -> LiveSession:
        assert self._live is not None, "not opened"
        return self._live

    async def _go_on(self, before: LiveSession, ended: LiveError) -> None:
        """Connect anew in place of `before`, unless that was done already."""
        async with self._changing:
            if self._live is not before:
                return
            try:
                if self._lost is not None:
                    raise self._lost
                if not self._options.handle or ended.code not in RECOVERABLE:
                    raise ended
                await self._insist()
            except (LiveError, Unreachable) as error:
                self._lost = error
                raise

    async def _insist(self) -> None:
        loop = asyncio.get_running_loop()
        given_up, pause_s = loop.time() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                return await self.open()
            except (LiveError, Unreachable) as error:
                if _final(error) or loop.time() + pause_s > given_up:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _final(error: LiveError | Unreachable) -> bool:
    if isinstance(error, LiveError):
        return error.code not in RECOVERABLE
    return isinstance(error, Untrusted)


@asynccontextmanager
async def resuming(
    endpoint: Endpoint, options: SessionOptions, patience_s: float = PATIENCE_S
) -> AsyncIterator[ResumingSession]:
    """As `connect`, with a session that outlives its connections."""
    session = ResumingSession(endpoint, replace(options, handle=options.handle or ""), patience_s)
    try:
        await session.open()
        yield session
    finally:
        await session.aclose()
