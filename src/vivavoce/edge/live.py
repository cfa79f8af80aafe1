"""The WebSocket endpoint: accept, read the setup, admit or refuse, run the connection.

The upgrade of a Live path always succeeds; every refusal is a close frame after the first
message, since SDKs report those well and HTTP refusals badly. What comes before the setup has
been answered simply waits in the socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal, Protocol

import orjson

from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.ids import IdSource
from vivavoce.domain.profile import Family, behaviour_of, model_id
from vivavoce.domain.setup import SessionSetup
from vivavoce.edge import rest
from vivavoce.edge.auth import Keys, presented
from vivavoce.edge.socket import AsgiSocket, Receive, Scope, Send, refuse_upgrade
from vivavoce.errors import ClientFault
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.paths import LivePath, live_path
from vivavoce.runtime.connection import Connection, Hosting
from vivavoce.runtime.ports import Disconnected
from vivavoce.runtime.served import NoTools
from vivavoce.runtime.sessions import Sessions
from vivavoce.tools.ports import Toolset

log = logging.getLogger(__name__)

ADK = "google-adk/"


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
class LiveOptions:
    """What the operator decided about connections. `settings` takes `early_turn_complete`."""

    settings: Callable[[bool], SessionSettings] = lambda early: SessionSettings(
        early_turn_complete=early
    )
    early_turn_complete: Literal["auto", "always", "never"] = "auto"
    strict: bool = False
    text_frames: bool = False
    setup_s: float = 10.0
    origins: tuple[str, ...] = ("*",)


class LiveEndpoint:
    """An ASGI application for WebSockets."""

    def __init__(
        self,
        directory: Directory,
        keys: Keys,
        sessions: Sessions,
        ids: IdSource,
        metrics: Metrics,
        options: LiveOptions | None = None,
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._sessions = sessions
        self._ids = ids
        self._metrics = metrics
        self._options = options or LiveOptions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = live_path(scope["path"])
        if path is None or path.music:
            failure = rest.unknown_path(scope["path"])
            body = orjson.dumps(failure.body)
            await refuse_upgrade(send, failure.http_status, body, rest.CONTENT_TYPE)
            return
        caller = _Caller(path, scope)
        socket = AsgiSocket(receive, send, self._options.text_frames)
        began = monotonic()
        try:
            await socket.accept()
            await self._serve(caller, socket)
        except (Disconnected, TimeoutError):
            pass  # it left, or does not read: there is nobody to tell
        finally:
            self._count(caller, socket, monotonic() - began)

    async def _serve(self, caller: _Caller, socket: AsgiSocket) -> None:
        try:
            connection = await self._open(caller, socket)
        except ClientFault as fault:
            log.info("session refused", extra={"code": fault.code, "reason": fault.reason})
            await socket.close(fault.code, fault.reason)
            return
        except (Disconnected, TimeoutError):
            raise
        except Exception:
            log.exception("session could not be opened")
            await socket.close(close.INTERNAL, close.INTERNAL_ERROR)
            return
        with self._sessions.hosting(connection):
            log.info("session begins", extra=_line(connection, profile=caller.profile))
            ending = await connection.run()
        socket.closed = ending.code
        how = {"code": ending.code, "reason": ending.reason, "by_client": ending.by_client}
        log.info("session ends", extra=_line(connection, **how))

    async def _open(self, caller: _Caller, socket: AsgiSocket) -> Connection:
        """The connection that the first message asks for. Raises `ClientFault`."""
        try:
            async with asyncio.timeout(self._options.setup_s):
                frame = await socket.receive()
        except TimeoutError:
            raise ClientFault(close.INTERNAL, close.DEADLINE) from None
        self._authorize(caller)
        dialect = GeminiDialect(
            strict=self._options.strict,
            enterprise=caller.path.enterprise,
            on_unknown=_note_unknown,
            on_unserved=self._note_unserved,
        )
        setup = dialect.read_setup(frame)
        if dialect.beside_setup:
            socket.put_back(dialect.beside_setup)
        backend = self._find(caller.path, setup)
        caller.profile = backend.profile
        if setup.resumption is not None and setup.resumption.handle:
            raise ClientFault(close.POLICY, close.SESSION_NOT_FOUND)
        self._admit()
        toolset = self._toolset(backend, dialect)
        try:
            setup = replace(setup, tools=await toolset.resolve(setup.tools))
            self._admit()  # others may have come, or the server begun to go, while that took
        except BaseException:
            await toolset.aclose()
            raise
        session_id = self._ids.session()
        behaviour = behaviour_of(setup.model)
        early = self._early_turn_complete(caller, behaviour.family)
        session = LiveSession(
            session_id, setup, behaviour, self._options.settings(early), self._ids
        )
        return Connection(
            session_id, session, setup, socket, dialect, backend.hosting, toolset=toolset
        )

    def _admit(self) -> None:
        """Raises `ClientFault` when there is no place for another conversation."""
        if not self._sessions.admits:
            draining = self._sessions.draining
            raise ClientFault(close.INTERNAL, close.UNAVAILABLE if draining else close.QUOTA)

    @staticmethod
    def _toolset(backend: Backend, dialect: GeminiDialect) -> Toolset:
        tooling = backend.hosting.tools
        return NoTools(dialect.unserved) if tooling is None else tooling.open(dialect.unserved)

    def _note_unserved(self, kind: str, name: str) -> None:
        if kind == "tool" and self._options.strict:
            raise close.not_served()
        level = logging.WARNING if kind == "tool" else logging.INFO
        log.log(level, "asked for and not served", extra={"kind": kind, "what": name})

    def _authorize(self, caller: _Caller) -> None:
        origin = caller.headers.get("origin")
        allowed = self._options.origins
        if origin and "*" not in allowed and origin not in allowed:
            self._metrics.auth_failures.labels("origin").inc()
            raise ClientFault(close.POLICY, f"The origin {origin} may not use this server.")
        try:
            self._keys.check(caller.credential)
        except ClientFault:
            reason = "missing" if caller.credential is None else "invalid"
            self._metrics.auth_failures.labels(reason).inc()
            raise

    def _find(self, path: LivePath, setup: SessionSetup) -> Backend:
        backend = self._directory.find(setup.model)
        if backend is not None:
            return backend
        if path.enterprise:
            raise close.unknown_publisher_model(setup.model)
        raise close.unknown_model(model_id(setup.model), path.version)

    def _early_turn_complete(self, caller: _Caller, family: Family) -> bool:
        if self._options.early_turn_complete != "auto":
            return self._options.early_turn_complete == "always"
        client = caller.headers.get("x-goog-api-client", "")
        return ADK in client and family is Family.LIVE_2_5

    def _count(self, caller: _Caller, socket: AsgiSocket, lasted_s: float) -> None:
        self._metrics.sessions.labels(caller.profile, str(socket.closed or 1006)).inc()
        self._metrics.session_duration.observe(lasted_s)


class _Caller:
    """What is known about a client before it said anything."""

    def __init__(self, path: LivePath, scope: Scope) -> None:
        self.path = path
        self.profile = ""
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        self.credential = presented(scope.get("query_string", b""), self.headers)


def _line(connection: Connection, **fields: object) -> dict[str, object]:
    return {"session": connection.session_id[:8], **fields}


def _note_unknown(path: str, name: str) -> None:
    log.info("unknown field ignored", extra={"path": path, "field": name[:80]})
