"""From a first message to a connection that is ready to talk.

What is looked at, in this order: who calls; what the setup asks for, with what a token holds fast
of it; which model; whether there is room; and last what cannot be taken back: the use of a token,
and the lease of a session that goes on. So a mistake in the setup costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from vivavoce.core.lifetime import Farewell
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import model_id
from vivavoce.domain.setup import SessionSetup
from vivavoce.edge.door import Visit
from vivavoce.edge.quotas import Meter, Quotas
from vivavoce.edge.resuming import Beginning, Resumptions
from vivavoce.edge.socket import AsgiSocket
from vivavoce.edge.tokens import Tokens
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.paths import LivePath
from vivavoce.runtime.connection import Connection, Hosting
from vivavoce.runtime.decoding import run_in_decoder
from vivavoce.runtime.leases import Leases
from vivavoce.runtime.served import NoTools
from vivavoce.runtime.sessions import Sessions
from vivavoce.tools.ports import Toolset

log = logging.getLogger(__name__)

FEW_FUNCTIONS = 4
"""Declarations that are weighed within a millisecond or two: a schema may have 64 KiB."""

QUOTA_NOTICE_S = 10.0
"""Between the word that the day's quota is spent, and the close."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What answers for a model name: the profile and its running engines."""

    profile: str
    hosting: Hosting


class Directory(Protocol):
    """Finds the backend for a model name."""

    def find(self, model: str) -> Backend | None:
        """`None` if no such model is served. Raises `ClientFault` if it cannot answer now."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What connections share, beside the engines of their profiles."""

    directory: Directory
    sessions: Sessions
    resumptions: Resumptions
    leases: Leases
    tokens: Tokens
    quotas: Quotas
    ids: IdSource


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asked for, read and found possible."""

    visit: Visit
    setup: SessionSetup
    backend: Backend
    socket: AsgiSocket
    dialect: GeminiDialect
    settings: SessionSettings

    @property
    def resuming(self) -> bool:
        """Whether a session is to go on."""
        return self.setup.resumption is not None and bool(self.setup.resumption.handle)


class Opening:
    """Opens connections. One for the whole server."""

    def __init__(self, house: House) -> None:
        self._house = house

    def find(self, path: LivePath, setup: SessionSetup) -> Backend:
        """The backend of the setup's model. Raises `ClientFault`."""
        backend = self._house.directory.find(setup.model)
        if backend is not None:
            return backend
        if path.enterprise:
            raise close.unknown_publisher_model(setup.model)
        raise close.unknown_model(model_id(setup.model), path.version)

    @asynccontextmanager
    async def connection(self, wish: Wish) -> AsyncIterator[Connection]:
        """A connection, with all that it holds until it is over. Raises `ClientFault`."""
        house, principal, resuming = self._house, wish.visit.principal, wish.resuming
        _report_unused_hints(wish)
        if not resuming:
            self._admit()
        async with AsyncExitStack() as held:
            left_s = await self._claim(wish) if resuming else None
            beginning = await self._begin(wish)
            # The place of a session that goes on is its own, whoever held it last.
            meter = await house.quotas.admit(principal, beginning.session)
            held.push_async_callback(house.quotas.release, principal, meter)
            toolset = _toolset(wish)
            try:
                tools = await toolset.resolve(beginning.tools(wish.setup))
                session = await self._session(wish, beginning, tools)
                # Others may have come, or the server begun to go, while that took.
                self._admit(beginning.session)
                if not resuming:
                    left_s = await self._claim(wish)
            except BaseException:
                await toolset.aclose()
                raise
            connection = self._connect(wish, beginning, session, toolset, meter)
            if left_s is not None:
                connection.leave(Farewell.TOKEN, left_s)
            if wish.setup.resumption is not None:
                lease = house.leases.holding(beginning.session, beginning.lease, connection)
                held.enter_context(lease)
            held.enter_context(house.sessions.hosting(connection))
            yield connection

    async def _begin(self, wish: Wish) -> Beginning:
        """A new session, or the one that goes on, from where a connection here leaves it."""
        house, setup = self._house, wish.setup
        if wish.resuming and house.sessions.draining:
            raise ClientFault(close.INTERNAL, close.UNAVAILABLE)
        beginning = await house.resumptions.begin(setup, wish.visit.principal.id)
        if not wish.resuming or (setup.resumption and setup.resumption.transparent):
            return beginning
        return beginning.after(await house.leases.surrendered(beginning.session))

    async def _session(self, wish: Wish, beginning: Beginning, tools: Tools) -> LiveSession:
        """The session, made in a thread where it has much to weigh."""
        house, gauge = self._house, wish.backend.hosting.gauge

        def make() -> LiveSession:
            return beginning.make(wish.setup, tools, wish.settings, house.ids, gauge)

        if beginning.before is None and len(tools.declarations) <= FEW_FUNCTIONS:
            return make()
        return await run_in_decoder(make)

    def _connect(
        self,
        wish: Wish,
        beginning: Beginning,
        session: LiveSession,
        toolset: Toolset,
        meter: Meter,
    ) -> Connection:
        house, setup, hosting = self._house, wish.setup, wish.backend.hosting
        connection = Connection(
            beginning.session,
            session,
            setup,
            wish.socket,
            wish.dialect,
            hosting,
            position=beginning.position,
            toolset=toolset,
            keeper=house.resumptions.keeper(beginning, setup, wish.visit.principal.id),
            meter=meter,
        )
        meter.over = partial(connection.leave, Farewell.QUOTA, QUOTA_NOTICE_S)
        return connection

    def _admit(self, session: SessionId | None = None) -> None:
        """Raises `ClientFault` when there is no place for another conversation.

        There is for a `session` that goes on here from one connection to the next.
        """
        sessions = self._house.sessions
        here = session is not None and self._house.leases.holds(session)
        if sessions.draining or not (sessions.admits or here):
            reason = close.UNAVAILABLE if sessions.draining else close.QUOTA
            raise ClientFault(close.INTERNAL, reason)

    async def _claim(self, wish: Wish) -> float | None:
        """The seconds until the caller's token ends, of which a use is taken."""
        token = wish.visit.token
        return None if token is None else await self._house.tokens.claim(token, wish.resuming)


def _report_unused_hints(wish: Wish) -> None:
    """Report what the profile's engines take no account of. Raises `ClientFault` when strict."""
    setup, engines = wish.setup, wish.backend.hosting.engines
    transcription, thinking = setup.input_transcription, setup.thinking
    words = transcription.custom_vocabulary if transcription else ()
    if words and not engines.recognizer.capabilities.vocabulary:
        wish.dialect.unserved_field("setup.input_audio_transcription.custom_vocabulary")
    if thinking and thinking.is_asked and not engines.responder.capabilities.thinking:
        wish.dialect.unserved_field("setup.generation_config.thinking_config")


def _toolset(wish: Wish) -> Toolset:
    tooling, unserved = wish.backend.hosting.tools, wish.dialect.unserved
    return NoTools(unserved) if tooling is None else tooling.open(unserved)
