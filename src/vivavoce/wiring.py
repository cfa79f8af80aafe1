"""The composition root: from a configuration to a server that holds conversations.

Nothing else in the tree builds more than itself. `Server(config)` puts the parts together without
touching the world; its `start()` opens the store and binds the port first (what is wrong
with either is told before anything heavy is loaded), then starts the engines.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import partial
from pathlib import Path

from vivavoce import __version__
from vivavoce.config.settings import Config, base_url, is_loopback
from vivavoce.domain.ids import IdSource, RandomIds
from vivavoce.errors import ConfigError, StoreError
from vivavoce.http import certificates
from vivavoce.http.admission import ServerContext, SessionOpener
from vivavoce.http.app import App
from vivavoce.http.auth import Authenticator
from vivavoce.http.health import Readiness, StoreMonitor, health_routes
from vivavoce.http.keys import ApiKeys
from vivavoce.http.limits import ConnectionLimits
from vivavoce.http.listener import Listener
from vivavoce.http.live import LiveEndpoint, LiveOptions
from vivavoce.http.models import ModelList
from vivavoce.http.origin_policy import OriginPolicy
from vivavoce.http.quotas import Quotas
from vivavoce.http.tokens import TokenService
from vivavoce.metrics import Metrics
from vivavoce.profiles import Profiles, Say, profiles_in_use, weights_in_use
from vivavoce.protocol.json_frames import MessageLimits
from vivavoce.runtime.event_loop import LoopLag
from vivavoce.runtime.session_registry import RENEW_EVERY_S, Connections, Leases
from vivavoce.store import build_store
from vivavoce.store.checkpoints import CheckpointRepository
from vivavoce.store.port import StateStore

__all__ = ["Say", "Server", "profiles_in_use", "store_of", "weights_in_use"]

log = logging.getLogger(__name__)


def store_of(config: Config) -> StateStore:
    """The store that the configuration names, not started. Raises `ConfigError`."""
    table = config.store
    return build_store(table.use, table.path, table.url, table.prefix)


class Server:
    """A whole server in this process. `start`, then `stop`; once each.

    `folder` is where the local CA lives, for tests; `say` is told of whatever makes the start take
    long, and the log is where it is `None`; `store` replaces the one of the configuration.
    """

    def __init__(
        self,
        config: Config,
        ids: IdSource | None = None,
        folder: Path | None = None,
        say: Say | None = None,
        store: StateStore | None = None,
        renew_leases_s: float = RENEW_EVERY_S,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.readiness = Readiness()
        self.sessions = Connections(config.server.max_sessions)
        self.bundle: Path | None = None
        self._folder = folder
        self._profiles = Profiles(config, self.readiness, self.metrics, say)
        self._store = store or store_of(config)
        self._watch = StoreMonitor(self._store, self.readiness)
        self._lag = LoopLag()
        self.metrics.loop_lag.set_function(lambda: self._lag.worst_s)
        others = not is_loopback(config.server.host)
        self._keys = ApiKeys(config.server.keys, self._store, config.server.quota.quota(), others)
        self._quotas = Quotas(self._store)
        self._leases = Leases(self._store, config.store.resume_s, renew_every_s=renew_leases_s)
        self._app = self._build_app(ids or RandomIds())
        self._port: Listener | None = None

    @property
    def port(self) -> Listener:
        """The listening side; there once `start` has bound it."""
        assert self._port is not None, "the server has not been started"
        return self._port

    def url(self, scheme: str = "http") -> str:
        """The base URL that a client on this machine uses."""
        return base_url(self.config.server.host, self.port.address[1], scheme)

    async def start(self) -> None:
        """Open the store, bind, start the engines.

        Raises `OSError` for the address, `VivavoceError`.
        """
        try:
            self._lag.start()
            await self._watch.start()
            await self._insist_on_keys()
            await self._listen()
            self._quotas.start()
            self._leases.start()
            await self._profiles.start()
        except BaseException:
            await self.stop(drain_s=0)
            raise

    async def stop(self, drain_s: float | None = None) -> None:
        """Admit nobody, say goodbye to everybody, close the engines and the store."""
        self.readiness.draining = True
        if self._port is not None and self.config.server.reuse_port:
            await self._port.stop_accepting()
        if len(self.sessions):
            self.metrics.goaways.inc(len(self.sessions))
            await self.sessions.drain(self.config.server.drain_s if drain_s is None else drain_s)
        if self._port is not None:
            await self._port.stop()
        await self._profiles.stop()
        await self._leases.aclose()
        await self._quotas.aclose()
        await self._watch.aclose()
        await self._lag.aclose()

    async def _insist_on_keys(self) -> None:
        """Raises `ConfigError` where others can reach the server and nobody needs a key."""
        host = self.config.server.host
        if is_loopback(host):
            return
        try:
            some = bool(self.config.server.keys or await self._store.list_keys())
        except StoreError:
            some = False  # nobody could be let in, and nobody would know why
        if not some:
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
        port = Listener(self._app, server.host, server.port, tls, limits, server.reuse_port)
        await port.start()
        self._port = port

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
        gate = OriginPolicy(server.host, hosts, server.origins, server.tls.plain)
        tokens = TokenService(self._store, server.strict)
        authenticator = Authenticator(gate, self._keys, tokens, self.metrics, server.strict)
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
