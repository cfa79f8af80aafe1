"""A Live endpoint without a port: a profile's engines behind a door, with everything in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vivavoce.core.settings import SessionSettings
from vivavoce.domain.ids import CountingIds
from vivavoce.http.admission import ProfileBackend, ServerContext, SessionOpener
from vivavoce.http.app import App
from vivavoce.http.auth import Authenticator
from vivavoce.http.keys import ApiKeys
from vivavoce.http.live import LiveEndpoint, LiveOptions
from vivavoce.http.models import ModelList
from vivavoce.http.origin_policy import OriginPolicy
from vivavoce.http.quotas import Quotas
from vivavoce.http.tokens import TokenService
from vivavoce.metrics import Metrics
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.session_registry import Connections, Leases
from vivavoce.store.checkpoints import CheckpointRepository
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import StateStore


class OneBackend:
    """Answers for every model name."""

    def __init__(self, backend: ProfileBackend) -> None:
        self._backend = backend

    def find_backend(self, model: str) -> ProfileBackend | None:
        return self._backend


@dataclass
class Standing:
    """Its parts; `now` is the clock of what is kept, in seconds since the epoch."""

    hosting: Backend
    settings: SessionSettings
    store: StateStore = field(default_factory=MemoryStore)
    now: Callable[[], float] = lambda: 1_800_000_000.0
    resume_s: float = 7200.0

    def __post_init__(self) -> None:
        ids, metrics = CountingIds(), Metrics()
        keys = ApiKeys((), self.store, now=self.now)
        self.tokens = TokenService(self.store, now=self.now)
        self.door = Authenticator(OriginPolicy(), keys, self.tokens, metrics)
        self.leases = Leases(self.store, self.resume_s, self.now)
        self.sessions = Connections(10)
        house = ServerContext(
            backends=OneBackend(ProfileBackend("test", self.hosting)),
            sessions=self.sessions,
            checkpoints=CheckpointRepository(self.store, self.resume_s, ids, self.now),
            leases=self.leases,
            tokens=self.tokens,
            quotas=Quotas(self.store, self.now),
            ids=ids,
        )
        options = LiveOptions(settings=lambda early: self.settings)
        self.live = LiveEndpoint(self.door, SessionOpener(house), metrics, options)

    def app(self) -> App:
        """The whole application."""
        return App(self.live, self.door, self.tokens, ModelList(["*"]))
