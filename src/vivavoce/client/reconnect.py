"""A conversation that continues over several connections by session resumption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from vivavoce.client.messages import (
    ReconnectedMessage,
    ResumptionUpdateMessage,
    ServerMessage,
    SessionClosed,
    SessionOptions,
)
from vivavoce.client.session import (
    ClientSession,
    ServerEndpoint,
    ServerUnreachable,
    ServerUntrusted,
    WebSocketSession,
    connect,
)

RECONNECT_TIMEOUT_S = 30.0
"""How long a server may be away, for a restart, until the conversation is given up."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
"""Between two tries, doubled from the one to the other."""

RECOVERABLE = frozenset({1001, 1006, 1011, 1012, 1013})
"""Ends that are no judgement on this client: lost, going away, restarting, for now too busy."""


class ReconnectingSession(ClientSession):
    """A conversation over as many connections as it takes.

    When the server ends a connection, the next one resumes from the newest handle. Sending waits
    meanwhile; then iteration gives a `ReconnectedMessage`. Raises `SessionClosed` when the server
    refuses to resume, `ServerUnreachable` when it stays away for `timeout_s`. A session that was
    never offered a handle ends with its connection.
    """

    def __init__(self, endpoint: ServerEndpoint, options: SessionOptions, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._options = options
        self._timeout_s = timeout_s
        self._exits = AsyncExitStack()
        self._current: WebSocketSession | None = None
        self._changing = asyncio.Lock()
        self._failure: SessionClosed | ServerUnreachable | None = None

    async def open_connection(self) -> None:
        """The first connection, or the next one. Raises `SessionClosed`, `ServerUnreachable`."""
        await self._exits.aclose()
        self._current = await self._exits.enter_async_context(
            connect(self._endpoint, self._options)
        )

    async def aclose(self) -> None:
        """Close the connection that there is, with 1000."""
        await self._exits.aclose()

    async def send_message(self, message: dict[str, Any]) -> None:
        while True:
            live = self._connected()
            try:
                return await live.send_message(message)
            except SessionClosed as ended:
                await self._resume_session(live, ended)

    async def __anext__(self) -> ServerMessage:
        live = self._connected()
        try:
            message = await anext(live)
        except SessionClosed as ended:
            await self._resume_session(live, ended)
            return ReconnectedMessage(ended)
        if isinstance(message, ResumptionUpdateMessage) and message.handle:
            self._options = replace(self._options, handle=message.handle)
        return message

    def _connected(self) -> WebSocketSession:
        assert self._current is not None, "not opened"
        return self._current

    async def _resume_session(self, before: WebSocketSession, ended: SessionClosed) -> None:
        """Connect anew in place of `before`, unless that was done already."""
        async with self._changing:
            if self._current is not before:
                return
            try:
                if self._failure is not None:
                    raise self._failure
                if not self._options.handle or ended.code not in RECOVERABLE:
                    raise ended
                await self._retry_connecting()
            except (SessionClosed, ServerUnreachable) as error:
                self._failure = error
                raise

    async def _retry_connecting(self) -> None:
        loop = asyncio.get_running_loop()
        given_up, pause_s = loop.time() + self._timeout_s, FIRST_PAUSE_S
        while True:
            try:
                return await self.open_connection()
            except (SessionClosed, ServerUnreachable) as error:
                if _is_final(error) or loop.time() + pause_s > given_up:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _is_final(error: SessionClosed | ServerUnreachable) -> bool:
    if isinstance(error, SessionClosed):
        return error.code not in RECOVERABLE
    return isinstance(error, ServerUntrusted)


@asynccontextmanager
async def connect_resumably(
    endpoint: ServerEndpoint, options: SessionOptions, timeout_s: float = RECONNECT_TIMEOUT_S
) -> AsyncIterator[ReconnectingSession]:
    """As `connect`, with a session that outlives its connections."""
    session = ReconnectingSession(
        endpoint, replace(options, handle=options.handle or ""), timeout_s
    )
    try:
        await session.open_connection()
        yield session
    finally:
        await session.aclose()
