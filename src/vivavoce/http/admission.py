"""Admit sessions: check quotas and capacity, load the checkpoint, start the connection.

The order of checks: the caller; the setup, with what a token locks of it; the model; capacity; and
last what cannot be undone: the use of a token, and the lease of a resumed session. So a mistake in
the setup costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from vivavoce.core.lifetime import CloseReason
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import family_behavior, model_id
from vivavoce.domain.setup import SessionSetup
from vivavoce.errors import INTERNAL, POLICY, ClientFault, StoreError
from vivavoce.http.auth import AuthenticatedClient
from vivavoce.http.quotas import Quotas, UsageMeter
from vivavoce.http.tokens import TokenService
from vivavoce.http.websocket import AsgiWebSocket
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.paths import LivePath
from vivavoce.runtime.connection import Backend, Connection
from vivavoce.runtime.event_loop import run_in_decoder
from vivavoce.runtime.session_registry import Connections, Leases
from vivavoce.runtime.tool_runner import NoTools
from vivavoce.store.checkpoints import CheckpointRepository, SessionStart
from vivavoce.store.port import Refusal
from vivavoce.tools.ports import Toolset

log = logging.getLogger(__name__)

MAX_QUICK_FUNCTIONS = 4
"""Number of declarations whose tokens are counted within 2 ms: a schema may have 64 KiB."""

QUOTA_NOTICE_S = 10.0
"""Time between the `goAway` for a spent daily quota and the close."""


@dataclass(frozen=True, slots=True)
class ProfileBackend:
    """Backend of a model name: a profile and its running engines."""

    profile: str
    backend: Backend


class BackendResolver(Protocol):
    """Resolver of model names to backends."""

    def find_backend(self, model: str) -> ProfileBackend | None:
        """Find the backend of a model; `None` if it is not served. Raises `ClientFault`."""
        ...


@dataclass(frozen=True, slots=True)
class ServerContext:
    """Services that all connections share, besides the engines of their profiles."""

    backends: BackendResolver
    sessions: Connections
    checkpoints: CheckpointRepository
    leases: Leases
    tokens: TokenService
    quotas: Quotas
    ids: IdSource


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Parsed and validated request for a session."""

    client: AuthenticatedClient
    setup: SessionSetup
    backend: ProfileBackend
    socket: AsgiWebSocket
    dialect: GeminiDialect
    settings: SessionSettings

    @property
    def is_resumption(self) -> bool:
        """True if the request resumes a session."""
        return self.setup.resumption is not None and bool(self.setup.resumption.handle)


class SessionOpener:
    """Opener of connections: admits sessions, starts or resumes them, hosts them."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    def find_backend(self, path: LivePath, setup: SessionSetup) -> ProfileBackend:
        """Find the backend of the setup's model. Raises `ClientFault`."""
        backend = self._context.backends.find_backend(setup.model)
        if backend is not None:
            return backend
        if path.enterprise:
            raise close.unknown_publisher_model(setup.model)
        raise close.unknown_model(model_id(setup.model), path.version)

    @asynccontextmanager
    async def open_connection(self, request: SessionRequest) -> AsyncIterator[Connection]:
        """Open a connection; release its slot, lease and quota at the end. Raises `ClientFault`."""
        context, principal = self._context, request.client.principal
        resuming = request.is_resumption
        _report_unused_hints(request)
        if not resuming:
            self._admit()
        async with AsyncExitStack() as held:
            left_s = await self._claim_token(request) if resuming else None
            start = await self._start_session(request)
            # A resumed session keeps its slot, whichever connection held it last.
            meter = await context.quotas.admit_session(principal, start.session)
            held.push_async_callback(context.quotas.release_session, principal, meter)
            toolset = _toolset(request)
            try:
                tools = await toolset.resolve(start.merge_tools())
                session = await self._build_session(request, start, tools)
                # The server may have filled up, or begun to drain, meanwhile.
                self._admit(start.session)
                if not resuming:
                    left_s = await self._claim_token(request)
            except BaseException:
                await toolset.aclose()
                raise
            connection = self._connect(request, start, session, toolset, meter)
            if left_s is not None:
                connection.schedule_close(CloseReason.TOKEN, left_s)
            if request.setup.resumption is not None:
                lease = context.leases.hold_lease(start.session, start.lease, connection)
                held.enter_context(lease)
            held.enter_context(context.sessions.register(connection))
            yield connection

    async def _start_session(self, request: SessionRequest) -> SessionStart:
        """Start or resume a session; a connection of this process hands it over first."""
        context, setup = self._context, request.setup
        if request.is_resumption and context.sessions.draining:
            raise ClientFault(INTERNAL, close.UNAVAILABLE)
        try:
            start = await context.checkpoints.start_session(setup, request.client.principal.id)
        except StoreError as error:
            log.warning("session could not be resumed", extra={"problem": str(error)})
            raise ClientFault(INTERNAL, close.UNAVAILABLE) from None
        if start is Refusal.OTHER_MODEL:
            raise close.invalid_argument()
        if isinstance(start, Refusal):
            raise ClientFault(POLICY, close.SESSION_NOT_FOUND)
        if not request.is_resumption or (setup.resumption and setup.resumption.transparent):
            return start
        newer = await context.leases.take_over(start.session)
        return start if newer is None else replace(start, checkpoint=newer)

    async def _build_session(
        self, request: SessionRequest, start: SessionStart, tools: Tools
    ) -> LiveSession:
        """Build the live session, in a thread if many tokens have to be counted."""
        context, gauge = self._context, request.backend.backend.gauge

        def make() -> LiveSession:
            setup, before = start.setup, start.checkpoint
            scores = request.backend.backend.turn_scorer is not None
            settings = replace(request.settings, turn_model=scores and request.settings.turn_model)
            behavior, ids = family_behavior(setup.model), context.ids
            if before is not None:
                return LiveSession.resume(before, setup, behavior, settings, ids, tools, gauge)
            setup = replace(setup, tools=tools)
            return LiveSession(start.session, setup, behavior, settings, ids, counter=gauge)

        if start.checkpoint is None and len(tools.declarations) <= MAX_QUICK_FUNCTIONS:
            return make()
        return await run_in_decoder(make)

    def _connect(
        self,
        request: SessionRequest,
        start: SessionStart,
        session: LiveSession,
        toolset: Toolset,
        meter: UsageMeter,
    ) -> Connection:
        context, hosting = self._context, request.backend.backend
        connection = Connection(
            start.session,
            session,
            start.setup,
            request.socket,
            request.dialect,
            hosting,
            position=start.position,
            toolset=toolset,
            store=context.checkpoints.open_store(start, request.client.principal.id),
            meter=meter,
        )
        meter.on_exceeded = partial(connection.schedule_close, CloseReason.QUOTA, QUOTA_NOTICE_S)
        return connection

    def _admit(self, session: SessionId | None = None) -> None:
        """Check that there is capacity for another conversation. Raises `ClientFault`.

        There is for a `session` that is handed over from one connection here to the next.
        """
        sessions = self._context.sessions
        here = session is not None and self._context.leases.holds(session)
        if sessions.draining or not (sessions.admits or here):
            reason = close.UNAVAILABLE if sessions.draining else close.QUOTA
            raise ClientFault(INTERNAL, reason)

    async def _claim_token(self, request: SessionRequest) -> float | None:
        """Claim a use of the client's token, if any; return the seconds until it expires."""
        token = request.client.token
        return (
            None
            if token is None
            else await self._context.tokens.claim_token(token, request.is_resumption)
        )


def _report_unused_hints(request: SessionRequest) -> None:
    """Report settings that the profile's engines ignore. Raises `ClientFault` when strict."""
    setup, engines = request.setup, request.backend.backend.engines
    transcription, thinking = setup.input_transcription, setup.thinking
    words = transcription.custom_vocabulary if transcription else ()
    if words and not engines.recognizer.capabilities.vocabulary:
        request.dialect.report_unserved_field("setup.input_audio_transcription.custom_vocabulary")
    if thinking and thinking.is_asked and not engines.responder.capabilities.thinking:
        request.dialect.report_unserved_field("setup.generation_config.thinking_config")


def _toolset(request: SessionRequest) -> Toolset:
    tooling, unserved = request.backend.backend.tools, request.dialect.report_unserved
    return NoTools(unserved) if tooling is None else tooling.open(unserved)
