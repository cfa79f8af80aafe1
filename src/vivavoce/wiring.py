"""The composition root: from a configuration to a server that holds conversations.

Nothing else in the tree builds more than itself. `build(config)` puts the parts together
without touching the world; `Server.start()` binds the port first (a busy port is told before
anything heavy is loaded), then starts the engines of every profile that a model name leads to.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vivavoce import __version__
from vivavoce.config import Config, ProfileTable, base_url
from vivavoce.domain.ids import IdSource, RandomIds
from vivavoce.domain.profile import model_id
from vivavoce.edge import ca
from vivavoce.edge.app import App
from vivavoce.edge.auth import Keys
from vivavoce.edge.health import Part, PartState, Readiness, health_routes
from vivavoce.edge.live import Backend, LiveEndpoint, LiveOptions
from vivavoce.edge.port import Limits, Port
from vivavoce.edge.turns import TurnRecorder
from vivavoce.engines.ports import Engines, Recognizer, Responder, VoiceDetector
from vivavoce.engines.registry import House, weights_of
from vivavoce.errors import ClientFault, ConfigError, VivavoceError
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.runtime.connection import Hosting
from vivavoce.runtime.detection import VoiceScorer
from vivavoce.runtime.generations import Pace
from vivavoce.runtime.sessions import Sessions
from vivavoce.tooling import build_toolbox
from vivavoce.tools.toolbox import Toolbox

log = logging.getLogger(__name__)

ENGINE_CLOSE_S = 5.0

Say = Callable[[str], None]
"""Told in plain sentences what is being done."""


def profiles_in_use(config: Config) -> list[str]:
    """The profiles to which some model name leads, in order."""
    return list(dict.fromkeys(config.models.values()))


def weights_in_use(config: Config) -> list[str]:
    """The weights that the profiles in use load."""
    needed: set[str] = set()
    for name in profiles_in_use(config):
        table = config.profiles[name]
        for port in ("detector", "recognizer", "responder"):
            needed |= weights_of(port, getattr(table, port))
    return sorted(needed)


class Profiles:
    """The engines of every profile in use: started once, shared by all sessions."""

    def __init__(
        self, config: Config, readiness: Readiness, metrics: Metrics, say: Say | None
    ) -> None:
        self._config = config
        self._say = say or log.info
        self._toolbox: Toolbox | None = None
        self._readiness = readiness
        self._metrics = metrics
        self._backends: dict[str, Backend] = {}
        for name in profiles_in_use(config):
            readiness.parts[f"profile {name}"] = Part(PartState.STARTING)

    async def start(self) -> None:
        """Start them one after the other. Raises if none can be started."""
        house = House(self._config.weights, self._say)
        self._toolbox = await build_toolbox(self._config, house, self._readiness, self._metrics)
        failure: VivavoceError | None = None
        for name in profiles_in_use(self._config):
            try:
                self._backends[name] = await self._start(name, self._config.profiles[name])
            except VivavoceError as error:
                failure = error
                log.error("profile did not start", extra={"profile": name, "problem": str(error)})
                self._readiness.parts[f"profile {name}"] = Part(PartState.FAILED, str(error))
        if failure is not None and not self._backends:
            raise failure

    async def stop(self) -> None:
        """Close every engine, each within a bounded time."""
        for backend in self._backends.values():
            backend.hosting.scorer.close()
            engines = backend.hosting.engines
            for engine in (engines.responder, engines.recognizer, engines.detector):
                await _close(engine, backend.profile)
        self._backends.clear()
        if self._toolbox is not None:
            await _close(self._toolbox, "tools")

    def find(self, model: str) -> Backend | None:
        """The backend for a model name as a client sent it."""
        name = self._config.profile_of(model_id(model))
        if name is None:
            return None
        if name not in self._backends:
            raise ClientFault(close.INTERNAL, close.UNAVAILABLE)
        return self._backends[name]

    async def _start(self, name: str, table: ProfileTable) -> Backend:
        house = House(self._config.weights, self._say)
        started: list[VoiceDetector | Recognizer] = []
        try:
            detector = await house.build("detector", table.detector)
            started.append(detector)
            recognizer = await house.build("recognizer", table.recognizer)
            started.append(recognizer)
            responder = await house.build("responder", table.responder)
        except BaseException:
            for engine in started:
                await _close(engine, name)
            raise
        for fallback in house.fallbacks:
            log.warning("a part is replaced", extra={"profile": name, "problem": fallback})
        state = PartState.DEGRADED if house.fallbacks else PartState.READY
        self._readiness.parts[f"profile {name}"] = Part(state, " ".join(house.fallbacks))
        hosting = Hosting(
            engines=Engines(detector, recognizer, responder),
            scorer=VoiceScorer(detector),
            listener=TurnRecorder(name, self._metrics, self._config.log.personal),
            tools=self._toolbox,
            pace=Pace(silent_s=self._config.session.engine_silence_s),
        )
        return Backend(name, hosting)


async def _close(engine: VoiceDetector | Recognizer | Responder | Toolbox, profile: str) -> None:
    """Close an engine; one that fails or hangs, deaf to cancellation even, is left behind."""
    closing = asyncio.create_task(engine.aclose())
    await asyncio.wait({closing}, timeout=ENGINE_CLOSE_S)
    what = {"profile": profile, "engine": type(engine).__name__}
    if not closing.done():
        closing.cancel()
        log.error("engine did not close in time", extra=what)
    elif failure := closing.exception():
        log.error("engine did not close", extra=what, exc_info=failure)


class Server:
    """A whole server in this process. `start`, then `stop`; once each."""

    def __init__(
        self,
        config: Config,
        ids: IdSource | None = None,
        folder: Path | None = None,
        say: Say | None = None,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.readiness = Readiness()
        self.sessions = Sessions(config.server.max_sessions)
        self.bundle: Path | None = None
        self._folder = folder
        self._profiles = Profiles(config, self.readiness, self.metrics, say)
        self._app = self._build_app(ids or RandomIds())
        self._port: Port | None = None

    @property
    def port(self) -> Port:
        """The listening side; there once `start` has bound it."""
        assert self._port is not None, "the server has not been started"
        return self._port

    def url(self, scheme: str = "http") -> str:
        """The base URL that a client on this machine uses."""
        return base_url(self.config.server.host, self.port.address[1], scheme)

    async def start(self) -> None:
        """Bind, then start the engines. Raises `OSError` for the address, `VivavoceError`."""
        server = self.config.server
        tls = await asyncio.to_thread(self._tls) if server.tls.enabled else None
        limits = Limits(
            handshake_s=server.handshake_s,
            max_head_bytes=server.max_head_bytes,
            max_message_bytes=server.max_message_bytes,
            max_connections=server.max_connections,
        )
        port = Port(self._app, server.host, server.port, tls, limits)
        await port.start()
        self._port = port
        try:
            await self._profiles.start()
        except BaseException:
            await self.stop(drain_s=0)
            raise

    async def stop(self, drain_s: float | None = None) -> None:
        """Admit nobody, say goodbye to everybody, close the engines."""
        self.readiness.draining = True
        if len(self.sessions):
            self.metrics.goaways.inc(len(self.sessions))
            await self.sessions.drain(self.config.server.drain_s if drain_s is None else drain_s)
        if self._port is not None:
            await self._port.stop()
        await self._profiles.stop()

    def _tls(self) -> ssl.SSLContext:
        tls = self.config.server.tls
        if tls.certificate is not None and tls.key is not None:
            certificate, key = tls.certificate, tls.key
        else:
            authority = ca.for_server(self.config.server.host, tls.names, self._folder)
            certificate, key = authority.certificate, authority.key
            self.bundle = authority.bundle
        try:
            return ca.server_context(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificate {certificate} cannot be used: {error}.",
                "Check server.tls.certificate and server.tls.key.",
            ) from None

    def _build_app(self, ids: IdSource) -> App:
        server, session = self.config.server, self.config.session
        keys = Keys(server.keys)
        options = LiveOptions(
            settings=partial(
                session.settings,
                trace_texts=self.config.log.personal,
                tools_deadline_s=self.config.tools.deadline_s,
            ),
            early_turn_complete=session.early_turn_complete,
            strict=server.strict,
            text_frames=server.frames == "text",
            setup_s=server.handshake_s,
            origins=tuple(server.origins),
        )
        live = LiveEndpoint(self._profiles, keys, self.sessions, ids, self.metrics, options)
        health = health_routes(self.readiness, self.metrics, __version__, self.sessions.__len__)
        return App(live, keys, list(self.config.models), health, server.origins)


def build(
    config: Config,
    ids: IdSource | None = None,
    folder: Path | None = None,
    say: Say | None = None,
) -> Server:
    """A server that was not started.

    `folder` is where the local CA lives, for tests; `say` is told of whatever makes the start
    take long, and the log is where it is `None`.
    """
    return Server(config, ids, folder, say)
