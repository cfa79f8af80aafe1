"""Serve Live WebSockets: accept, authenticate, read the setup, run the connection.

The upgrade of a Live path always succeeds; every refusal is a close frame after the first
message, since SDKs report those well and HTTP refusals badly. But origin, host and credential are
checked as soon as the upgrade is accepted, so that little is read of what a refused client sends.
What comes before the setup has been answered simply waits in the socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Literal

import orjson

from vivavoce.core.settings import SessionSettings
from vivavoce.domain.model_family import ModelFamily, family_behavior
from vivavoce.domain.setup import SessionSetup
from vivavoce.errors import INTERNAL, ClientFault
from vivavoce.http import errors
from vivavoce.http.admission import SessionOpener, SessionRequest
from vivavoce.http.auth import AuthenticatedClient, Authenticator, ClientRequest
from vivavoce.http.limits import refusals
from vivavoce.http.websocket import ADMISSION, AsgiWebSocket, Receive, Scope, Send, refuse_upgrade
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.json_frames import MessageLimits
from vivavoce.protocol.paths import CONSTRAINED, LivePath, parse_live_path
from vivavoce.runtime.connection import Connection
from vivavoce.runtime.event_loop import run_in_decoder
from vivavoce.runtime.ports import Disconnected

log = logging.getLogger(__name__)

ADK = "google-adk/"

MAX_NAME_CHARS = 64
"""Characters of an identifier that is logged; anything else may be personal."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Options of Live connections; `settings` builds them for a value of `early_turn_complete`."""

    settings: Callable[[bool], SessionSettings] = lambda early: SessionSettings(
        early_turn_complete=early
    )
    early_turn_complete: Literal["auto", "always", "never"] = "auto"
    strict: bool = False
    text_frames: bool = False
    setup_s: float = 10.0
    limits: MessageLimits = field(default_factory=MessageLimits)


class LiveEndpoint:
    """ASGI application that serves Live WebSockets."""

    def __init__(
        self,
        authenticator: Authenticator,
        opener: SessionOpener,
        metrics: Metrics,
        options: LiveOptions | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._opener = opener
        self._metrics = metrics
        self._options = options or LiveOptions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = parse_live_path(scope["path"])
        if path is None or path.music:
            failure = errors.unknown_path(scope["path"])
            refusals.info("upgrade refused", extra={"problem": "no Live path"})
            body = orjson.dumps(failure.body)
            await refuse_upgrade(send, failure.http_status, body, errors.CONTENT_TYPE)
            return
        client_info = _ClientInfo(path, scope)
        admission = ADMISSION in scope.get("extensions", {})
        socket = AsgiWebSocket(receive, send, self._options.text_frames, admission)
        began = monotonic()
        try:
            await socket.accept()
            await self._serve(client_info, socket)
        except (Disconnected, TimeoutError):
            pass  # no close frame would reach the client
        finally:
            self._count(client_info, socket, monotonic() - began)

    async def _serve(self, client_info: _ClientInfo, socket: AsgiWebSocket) -> None:
        try:
            client = await self._admit(client_info, socket)
            request = await self._read(client_info, socket, client)
            async with self._opener.open_connection(request) as connection:
                await self._run(client_info, socket, connection)
        except ClientFault as fault:
            extra = {"code": fault.code, "reason": fault.logged, "quoted": fault.reason}
            refusals.info("session refused", extra=extra)
            await socket.close(fault.code, fault.reason)
        except (Disconnected, TimeoutError):
            raise
        except Exception:
            log.exception("session could not be opened")
            await socket.close(INTERNAL, close.INTERNAL_ERROR)

    async def _run(
        self, client_info: _ClientInfo, socket: AsgiWebSocket, connection: Connection
    ) -> None:
        log.info("session begins", extra=_line(connection, profile=client_info.profile))
        ending = await connection.run()
        socket.closed = ending.code
        how = {"code": ending.code, "reason": ending.logged, "by_client": ending.by_client}
        log.info("session ends", extra=_line(connection, **how, quoted=ending.reason))

    async def _admit(self, client_info: _ClientInfo, socket: AsgiWebSocket) -> AuthenticatedClient:
        """Authenticate the client. Raises `ClientFault` after the first message."""
        try:
            self._authenticator.check_origin(client_info.client_request)
            constrained = client_info.path.method == CONSTRAINED
            client = await self._authenticator.authenticate_session(
                client_info.client_request, constrained
            )
        except ClientFault as fault:
            await socket.refuse(fault.code, fault.reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.setup_s):
                    await socket.receive()
            raise
        if client.principal.id:
            await socket.admit()
        return client

    async def _read(
        self, client_info: _ClientInfo, socket: AsgiWebSocket, client: AuthenticatedClient
    ) -> SessionRequest:
        """Read the setup message to a session request. Raises `ClientFault`."""
        try:
            async with asyncio.timeout(self._options.setup_s):
                frame = await socket.receive()
        except TimeoutError:
            raise ClientFault(INTERNAL, close.DEADLINE) from None
        dialect = GeminiDialect(
            strict=self._options.strict,
            enterprise=client_info.path.enterprise,
            on_unknown=_note_unknown,
            on_unserved=self._note_unserved,
            on_mismatch=_note_mismatch,
            limits=self._options.limits,
        )
        setup = await _read_setup(dialect, frame, client)
        if dialect.beside_setup:
            socket.put_back(dialect.beside_setup)
        backend = self._opener.find_backend(client_info.path, setup)
        await socket.admit()
        client_info.profile = backend.profile
        early = self._early_turn_complete(client_info, family_behavior(setup.model).family)
        settings = replace(
            self._options.settings(early), finishes_transcripts=client_info.path.enterprise
        )
        return SessionRequest(client, setup, backend, socket, dialect, settings)

    def _note_unserved(self, kind: str, name: str) -> None:
        if kind == "tool" and self._options.strict:
            raise close.not_served()
        level = logging.WARNING if kind == "tool" else logging.INFO
        log.log(level, "unsupported feature requested", extra={"kind": kind, "what": name})

    def _early_turn_complete(self, client_info: _ClientInfo, family: ModelFamily) -> bool:
        if self._options.early_turn_complete != "auto":
            return self._options.early_turn_complete == "always"
        client = client_info.client_request.headers.get("x-goog-api-client", "")
        return ADK in client and family is ModelFamily.LIVE_2_5

    def _count(self, client_info: _ClientInfo, socket: AsgiWebSocket, lasted_s: float) -> None:
        self._metrics.sessions.labels(client_info.profile, str(socket.closed or 1006)).inc()
        self._metrics.session_duration.observe(lasted_s)


class _ClientInfo:
    """Log fields of a connection: client, path and profile."""

    def __init__(self, path: LivePath, scope: Scope) -> None:
        self.path = path
        self.client_request = ClientRequest(scope)
        self.profile = ""


async def _read_setup(
    dialect: GeminiDialect, frame: bytes | str, client: AuthenticatedClient
) -> SessionSetup:
    """Parse the setup, in a thread if it or a token's setup may be large."""
    if client.token is None and dialect.is_light(frame):
        return dialect.read_setup(frame)
    return await run_in_decoder(lambda: dialect.read_setup(frame, client.token))


def _line(connection: Connection, **fields: object) -> dict[str, object]:
    return {"session": connection.session_id[:8], **fields}


def _note_mismatch(sentence: str, *, quoted: str = "") -> None:
    left_out = quoted[:MAX_NAME_CHARS] if quoted not in sentence else None
    log.info("input normalized", extra={"what": sentence, "quoted": left_out})


def _note_unknown(path: str, name: str) -> None:
    field = name if name.isascii() and name.isidentifier() and len(name) <= MAX_NAME_CHARS else None
    extra = {"path": path, "field": field, "quoted": name[:MAX_NAME_CHARS]}
    log.info("unknown field ignored", extra=extra)
