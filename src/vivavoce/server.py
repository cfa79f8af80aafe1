"""Composition root: build the server from its configuration.

No other module builds more than itself. `Server(config)` puts the parts together without I/O; its
`start()` opens the store and binds the port first, so that an error of either is reported before
anything heavy is loaded, and then starts the engines.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vivavoce import __version__
from vivavoce.config.loading import ConfigErrors
from vivavoce.config.settings import Config, EngineChoice, ProfileTable, base_url, is_loopback
from vivavoce.core.token_counts import (
    MIN_WINDOW_TOKENS,
    WINDOW_TOKENS,
    TokenCounter,
    constant_revision,
    estimate_tokens,
)
from vivavoce.domain.ids import IdSource, RandomIds
from vivavoce.domain.model_family import model_id
from vivavoce.engines import document_search
from vivavoce.engines.pages import load_libraries
from vivavoce.engines.ports import (
    Engines,
    Recognizer,
    Responder,
    ResponderCapabilities,
    SearchEngine,
    TurnModel,
    VoiceDetector,
)
from vivavoce.engines.registry import PROFILE_PORTS, EngineBuilder, required_weights
from vivavoce.errors import (
    INTERNAL,
    ClientFault,
    ConfigError,
    EngineMissing,
    StoreError,
    VivavoceError,
)
from vivavoce.http import certificates
from vivavoce.http.admission import ProfileBackend, ServerContext, SessionOpener
from vivavoce.http.app import App
from vivavoce.http.auth import Authenticator
from vivavoce.http.health import Component, ComponentState, Readiness, StoreMonitor, health_routes
from vivavoce.http.keys import ApiKeys
from vivavoce.http.limits import ConnectionLimits
from vivavoce.http.listener import Listener
from vivavoce.http.live import LiveEndpoint, LiveOptions
from vivavoce.http.models import ModelList
from vivavoce.http.origin_policy import OriginPolicy
from vivavoce.http.quotas import Quotas
from vivavoce.http.tokens import TokenService
from vivavoce.metrics import Metrics, ToolLogger, TurnLogger
from vivavoce.protocol import close
from vivavoce.protocol.json_frames import MessageLimits
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.event_loop import LoopLag
from vivavoce.runtime.generation import OutputPace
from vivavoce.runtime.rate_limit import RateLimits
from vivavoce.runtime.session_registry import RENEW_INTERVAL_S, Connections, Leases
from vivavoce.runtime.turn_ends import TurnScorer
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.store import build_store
from vivavoce.store.checkpoints import CheckpointRepository
from vivavoce.store.port import StateStore
from vivavoce.tools.mcp.registry import McpRegistry
from vivavoce.tools.mcp.settings import read_settings as read_mcp
from vivavoce.tools.toolbox import CODE, SEARCH, URL, Toolbox
from vivavoce.tools.url_context import UrlContextTool
from vivavoce.tools.url_context import create_tool as create_web

log = logging.getLogger(__name__)

ENGINE_CLOSE_TIMEOUT_S = 5.0
"""Timeout for an engine to close."""

Say = Callable[[str], None]
"""Callback that shows a sentence about the start to the operator."""


class Server:
    """Server in this process, with all its parts. Call `start`, then `stop`, once each.

    `folder` is that of the local CA, for tests; `say` shows what makes the start take long, in the
    log unless it is given; `store` replaces the one of the configuration.
    """

    def __init__(
        self,
        config: Config,
        ids: IdSource | None = None,
        folder: Path | None = None,
        say: Say | None = None,
        store: StateStore | None = None,
        renew_leases_s: float = RENEW_INTERVAL_S,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.readiness = Readiness()
        self.sessions = Connections(config.server.max_sessions)
        self.bundle: Path | None = None
        self._folder = folder
        self._profiles = Profiles(config, self.readiness, self.metrics, say)
        self._store = store or configured_store(config)
        self._store_monitor = StoreMonitor(self._store, self.readiness)
        self._lag = LoopLag()
        self.metrics.loop_lag.set_function(lambda: self._lag.worst_s)
        others = not is_loopback(config.server.host)
        self._keys = ApiKeys(config.server.keys, self._store, config.server.quota.quota(), others)
        self._quotas = Quotas(self._store)
        self._leases = Leases(self._store, config.store.resume_s, renew_interval_s=renew_leases_s)
        self._app = self._build_app(ids or RandomIds())
        self._listener: Listener | None = None

    @property
    def listener(self) -> Listener:
        """Listener that `start` has bound."""
        assert self._listener is not None, "the server has not been started"
        return self._listener

    def url(self, scheme: str = "http") -> str:
        """Return the base URL for clients on this machine."""
        return base_url(self.config.server.host, self.listener.address[1], scheme)

    async def start(self) -> None:
        """Open the store, bind, start the engines.

        Raises `OSError` for the address, `VivavoceError`.
        """
        try:
            self._lag.start()
            await self._store_monitor.start()
            await self._require_keys()
            await self._listen()
            self._quotas.start()
            self._leases.start()
            await self._profiles.start()
        except BaseException:
            await self.stop(drain_s=0)
            raise

    async def stop(self, drain_s: float | None = None) -> None:
        """Stop admitting, drain the connections, close the engines and the store."""
        self.readiness.draining = True
        if self._listener is not None and self.config.server.reuse_port:
            await self._listener.stop_accepting()
        if len(self.sessions):
            self.metrics.goaways.inc(len(self.sessions))
            await self.sessions.drain(self.config.server.drain_s if drain_s is None else drain_s)
        if self._listener is not None:
            await self._listener.stop()
        await self._profiles.stop()
        await self._leases.aclose()
        await self._quotas.aclose()
        await self._store_monitor.aclose()
        await self._lag.aclose()

    async def _require_keys(self) -> None:
        """Raise `ConfigError` if the server is reachable from other machines and has no key."""
        host = self.config.server.host
        if is_loopback(host):
            return
        try:
            there = bool(self.config.server.keys or await self._store.list_keys())
        except StoreError:
            there = False  # and no client could be authenticated
        if not there:
            raise ConfigError(
                f"server.host = {host!r} is reachable by others and there is no key.",
                "Make one with `vivavoce keys add NAME`, set VIVAVOCE_SERVER__KEYS, or keep the "
                "default 127.0.0.1.",
            )

    async def _listen(self) -> None:
        server = self.config.server
        tls = await asyncio.to_thread(self._tls) if server.tls.enabled else None
        limits = ConnectionLimits(
            handshake_s=server.handshake_s,
            max_head_bytes=server.max_head_bytes,
            max_message_bytes=server.max_message_bytes,
            max_connections=server.max_connections,
            first_message_bytes=server.max_first_message_bytes,
        )
        listener = Listener(self._app, server.host, server.port, tls, limits, server.reuse_port)
        await listener.start()
        self._listener = listener

    def _tls(self) -> ssl.SSLContext:
        tls = self.config.server.tls
        if tls.certificate is not None and tls.key is not None:
            certificate, key = tls.certificate, tls.key
        else:
            authority = certificates.prepare_for_server(
                self.config.server.host, tls.names, self._folder
            )
            certificate, key = authority.certificate, authority.key
            self.bundle = authority.bundle
        try:
            return certificates.server_context(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificate {certificate} cannot be used: {error}.",
                "Check server.tls.certificate and server.tls.key.",
            ) from None

    def _build_app(self, ids: IdSource) -> App:
        config, server, session = self.config, self.config.server, self.config.session
        hosts = (*server.hosts, *server.tls.names)
        policy = OriginPolicy(server.host, hosts, server.origins, server.tls.plain)
        tokens = TokenService(self._store, server.strict)
        authenticator = Authenticator(policy, self._keys, tokens, self.metrics, server.strict)
        options = LiveOptions(
            settings=partial(
                session.settings,
                trace_texts=config.log.personal,
                tools_deadline_s=config.tools.deadline_s,
            ),
            early_turn_complete=session.early_turn_complete,
            strict=server.strict,
            text_frames=server.frames == "text",
            setup_s=server.handshake_s,
            limits=MessageLimits(server.max_message_values, server.max_message_text_bytes),
        )
        context = ServerContext(
            backends=self._profiles,
            sessions=self.sessions,
            checkpoints=CheckpointRepository(self._store, config.store.resume_s, ids),
            leases=self._leases,
            tokens=tokens,
            quotas=self._quotas,
            ids=ids,
        )
        live = LiveEndpoint(authenticator, SessionOpener(context), self.metrics, options)
        health = health_routes(self.readiness, self.metrics, __version__, self.sessions.__len__)
        return App(
            live,
            authenticator,
            tokens,
            ModelList(list(config.models), self._profiles.window),
            health,
            server.origins,
        )


def configured_store(config: Config) -> StateStore:
    """Build the store that the configuration names. Raises `ConfigError`."""
    table = config.store
    return build_store(table.use, table.path, table.url, table.prefix)


# --- profiles ---------------------------------------------------------------------------------


def profiles_in_use(config: Config) -> list[str]:
    """List the profiles that some model name is mapped to, in order."""
    return list(dict.fromkeys(config.models.values()))


def weights_in_use(config: Config) -> list[str]:
    """List the weights that the profiles in use load."""
    needed: set[str] = set()
    for name in profiles_in_use(config):
        table = config.profiles[name]
        for port in PROFILE_PORTS:
            if choice := getattr(table, port):
                needed |= required_weights(port, choice)
    return sorted(needed)


class Profiles:
    """Engines of all profiles in use: started once, shared by all sessions."""

    def __init__(
        self, config: Config, readiness: Readiness, metrics: Metrics, say: Say | None
    ) -> None:
        self._config = config
        self._say = say or log.info
        self._toolbox: Toolbox | None = None
        self._readiness = readiness
        self._metrics = metrics
        self._backends: dict[str, ProfileBackend] = {}
        for name in profiles_in_use(config):
            readiness.parts[f"profile {name}"] = Component(ComponentState.STARTING)

    async def start(self) -> None:
        """Start the engines of every profile. Raises `VivavoceError` if none can be started."""
        builder = EngineBuilder(self._config.weights, self._say)
        self._toolbox = await build_toolbox(self._config, builder, self._readiness, self._metrics)
        failure: VivavoceError | None = None
        for name in profiles_in_use(self._config):
            try:
                self._backends[name] = await self._start(name, self._config.profiles[name])
            except VivavoceError as error:
                failure = error
                log.error("profile did not start", extra={"profile": name, "problem": str(error)})
                self._readiness.parts[f"profile {name}"] = Component(
                    ComponentState.FAILED, str(error)
                )
        if failure is not None and not self._backends:
            raise failure

    async def stop(self) -> None:
        """Close every engine, each within a bounded time."""
        for backend in self._backends.values():
            parts, engines = backend.backend, backend.backend.engines
            parts.scorer.close()
            if parts.turn_scorer is not None:
                parts.turn_scorer.close()
            for engine in (
                engines.responder, engines.recognizer, engines.detector, engines.turn_model
            ):  # fmt: skip
                if engine is not None:
                    await _close(engine, backend.profile)
        self._backends.clear()
        if self._toolbox is not None:
            await _close(self._toolbox, "tools")

    def find_backend(self, model: str) -> ProfileBackend | None:
        """Return the backend of a client's model name; `None` if it is not served."""
        name = self._config.profile_of(model_id(model))
        if name is None:
            return None
        if name not in self._backends:
            raise ClientFault(INTERNAL, close.UNAVAILABLE)
        return self._backends[name]

    def window(self, model: str) -> int:
        """Return the context window of a model; the default while its engines start."""
        backend = self._backends.get(self._config.profile_of(model) or "")
        return WINDOW_TOKENS if backend is None else backend.backend.gauge.window

    async def _start(self, name: str, table: ProfileTable) -> ProfileBackend:
        builder = EngineBuilder(self._config.weights, self._say)
        started: list[VoiceDetector | Recognizer | TurnModel] = []
        turn_model: TurnModel | None = None
        try:
            detector = await builder.build("detector", table.detector)
            started.append(detector)
            recognizer = await builder.build("recognizer", table.recognizer)
            started.append(recognizer)
            if table.turn_model:
                turn_model = await builder.build("turn_model", table.turn_model)
                started.append(turn_model)
            responder = await builder.build("responder", table.responder)
        except BaseException:
            for engine in started:
                await _close(engine, name)
            raise
        for fallback in builder.fallbacks:
            log.warning("a part is replaced", extra={"profile": name, "problem": fallback})
        state = ComponentState.DEGRADED if builder.fallbacks else ComponentState.READY
        self._readiness.parts[f"profile {name}"] = Component(state, " ".join(builder.fallbacks))
        backend = Backend(
            engines=Engines(detector, recognizer, responder, turn_model),
            scorer=VoiceScorer(detector),
            turn_scorer=None if turn_model is None else TurnScorer(turn_model),
            listener=TurnLogger(name, self._metrics, self._config.log.personal),
            tools=self._toolbox,
            pace=OutputPace(silent_s=self._config.session.engine_silence_s),
            gauge=_token_counter(responder.capabilities, self._config.session.context_tokens),
            rates=RateLimits(self._config.session.messages_per_s, self._config.session.audio_speed),
        )
        return ProfileBackend(name, backend)


def _token_counter(capabilities: ResponderCapabilities, window: int) -> TokenCounter:
    """Build the counter for a context window: the configured one, or the model's own for 0."""
    window = window or max(capabilities.context_tokens, MIN_WINDOW_TOKENS)
    return TokenCounter(
        window,
        capabilities.count_tokens or estimate_tokens,
        capabilities.count_revision or constant_revision,
    )


async def _close(
    engine: VoiceDetector | Recognizer | TurnModel | Responder | Toolbox, profile: str
) -> None:
    """Close an engine within `ENGINE_CLOSE_TIMEOUT_S`; abandon one that fails or hangs."""
    closing = asyncio.create_task(engine.aclose())
    await asyncio.wait({closing}, timeout=ENGINE_CLOSE_TIMEOUT_S)
    what = {"profile": profile, "engine": type(engine).__name__}
    if not closing.done():
        closing.cancel()
        log.error("engine did not close in time", extra=what)
    elif failure := closing.exception():
        log.error("engine did not close", extra=what, exc_info=failure)


# --- tools ------------------------------------------------------------------------------------
#
# A tool that was asked for and cannot work leaves the server up: conversations that want it are
# refused with the reason, all others go on, and `/readyz` says that something is missing. An index
# of documents may be made while the server runs: it is looked for again whenever a conversation
# wants to search. Until it is there such a conversation is refused if `search` was set, and goes on
# without the tool if it was not.

UNUSABLE = "The index of documents can't be used."


async def build_toolbox(
    config: Config, builder: EngineBuilder, readiness: Readiness, metrics: Metrics
) -> Toolbox:
    """Build the tools that `[tools]` configures. Raises one `ConfigError` of all its errors."""
    tools, errors = config.tools, ConfigErrors()
    box = Toolbox(listener=ToolLogger(metrics), deadline_s=tools.deadline_s)
    engines = _ToolEngines(builder, readiness)
    mcp = None
    try:
        with errors.collect("tools.search"):
            box.search = await engines.build(SEARCH, "search", tools.search)
        with errors.collect("tools.code"):
            box.sandbox = await engines.build(CODE, "sandbox", tools.code)
        with errors.collect("tools.url"):
            if tools.url is not False:
                box.web = engines.build_web({} if tools.url is True else tools.url)
        with errors.collect("tools.mcp"):
            mcp = read_mcp(tools.mcp, tools.mcp_clients)
        errors.raise_all()
        if mcp is not None and (mcp.servers or mcp.client_origins):
            box.mcp = McpRegistry(mcp)
            await box.mcp.start()
    except BaseException:
        await box.aclose()
        raise
    lack = engines.missing.get(SEARCH)
    if lack is not None and lack.engine == document_search.ENGINE:
        box.find_search = _IndexFinder(box, engines, tools.search).find
        if "search" not in tools.model_fields_set:
            del engines.missing[SEARCH]
            log.info("no search yet: it begins with the index that `vivavoce index DIR` makes")
    box.refusals = {kind: each.problem for kind, each in engines.missing.items()}
    for kind, each in engines.missing.items():
        engines.report_degraded(kind, "a tool cannot work here", f"{each.problem} {each.fix}")
    return box


@dataclass(slots=True)
class _ToolEngines:
    """Builder of the engines behind the tools; `missing` is what could not be built, and why."""

    builder: EngineBuilder
    readiness: Readiness
    missing: dict[str, EngineMissing] = field(default_factory=dict)

    async def build(self, kind: str, port: str, choice: EngineChoice) -> Any:
        """Build the engine behind a tool; `None` if it is off or lacks a dependency."""
        self.missing.pop(kind, None)
        if not choice:
            return None
        before = len(self.builder.fallbacks)
        try:
            engine = await self.builder.build(port, choice)
        except EngineMissing as lack:
            self.missing[kind] = lack
            return None
        for fallback in self.builder.fallbacks[before:]:
            self.report_degraded(kind, "a tool is replaced", fallback)
        return engine

    def build_web(self, table: Mapping[str, object]) -> UrlContextTool | None:
        """Build the tool that reads URLs; `None` if a library for it is missing."""
        tool = create_web(table)
        try:
            load_libraries()
        except EngineMissing as lack:
            self.missing[URL] = lack
            return None
        return tool

    def report_degraded(self, kind: str, what: str, problem: str) -> None:
        """Log a tool that does not work as it was configured, and show it in `/readyz`."""
        log.warning(what, extra={"tool": kind, "problem": problem})
        self.readiness.parts[f"tool {kind}"] = Component(ComponentState.DEGRADED, problem)


@dataclass(slots=True)
class _IndexFinder:
    """Finder of a document index that did not exist when the server started."""

    box: Toolbox
    engines: _ToolEngines
    choice: EngineChoice

    async def find(self) -> SearchEngine | None:
        """Build the document search if the index exists by now."""
        name = f"tool {SEARCH}"
        try:
            engine: SearchEngine | None = await self.engines.build(SEARCH, "search", self.choice)
        except ConfigError as error:  # what has come there is no index
            log.warning("a tool cannot work here", extra={"tool": SEARCH, "problem": str(error)})
            self._refuse(UNUSABLE)
            return None
        if engine is None:
            self._refuse(self.engines.missing[SEARCH].problem)
            return None
        self.box.refusals = {k: why for k, why in self.box.refusals.items() if k != SEARCH}
        if name in self.engines.readiness.parts:
            self.engines.readiness.parts[name] = Component(ComponentState.READY)
        log.info("the index of documents was found")
        return engine

    def _refuse(self, why: str) -> None:
        """Update the reason for which conversations are refused meanwhile, if configured."""
        if SEARCH in self.box.refusals:
            self.box.refusals = {**self.box.refusals, SEARCH: why}
