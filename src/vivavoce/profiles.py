"""The engines of every profile that a model name leads to: started once, shared by all sessions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vivavoce.config.settings import Config, ProfileTable
from vivavoce.core.token_counts import (
    LEAST_WINDOW,
    WINDOW,
    TokenCounter,
    constant_revision,
    estimate_tokens,
)
from vivavoce.domain.model_family import model_id
from vivavoce.engines.ports import (
    Engines,
    Recognizer,
    Responder,
    ResponderCapabilities,
    VoiceDetector,
)
from vivavoce.engines.registry import EngineBuilder, required_weights
from vivavoce.errors import INTERNAL, ClientFault, VivavoceError
from vivavoce.http.admission import ProfileBackend
from vivavoce.http.health import Component, ComponentState, Readiness
from vivavoce.metrics import Metrics, TurnLogger
from vivavoce.protocol import close
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.generation import OutputPace
from vivavoce.runtime.rate_limit import RateLimits
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.tooling import build_toolbox
from vivavoce.tools.toolbox import Toolbox

log = logging.getLogger(__name__)

ENGINE_CLOSE_S = 5.0

Say = Callable[[str], None]
"""Told in plain sentences what is being done."""


def gauge_of(capabilities: ResponderCapabilities, window: int) -> TokenCounter:
    """The context window of a model in use: as configured, or its own where that is 0."""
    window = window or max(capabilities.context_tokens, LEAST_WINDOW)
    return TokenCounter(
        window,
        capabilities.count_tokens or estimate_tokens,
        capabilities.count_revision or constant_revision,
    )


def profiles_in_use(config: Config) -> list[str]:
    """The profiles to which some model name leads, in order."""
    return list(dict.fromkeys(config.models.values()))


def weights_in_use(config: Config) -> list[str]:
    """The weights that the profiles in use load."""
    needed: set[str] = set()
    for name in profiles_in_use(config):
        table = config.profiles[name]
        for port in ("detector", "recognizer", "responder"):
            needed |= required_weights(port, getattr(table, port))
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
        self._backends: dict[str, ProfileBackend] = {}
        for name in profiles_in_use(config):
            readiness.parts[f"profile {name}"] = Component(ComponentState.STARTING)

    async def start(self) -> None:
        """Start them one after the other. Raises if none can be started."""
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
            backend.backend.scorer.close()
            engines = backend.backend.engines
            for engine in (engines.responder, engines.recognizer, engines.detector):
                await _close(engine, backend.profile)
        self._backends.clear()
        if self._toolbox is not None:
            await _close(self._toolbox, "tools")

    def find_backend(self, model: str) -> ProfileBackend | None:
        """The backend for a model name as a client sent it."""
        name = self._config.profile_of(model_id(model))
        if name is None:
            return None
        if name not in self._backends:
            raise ClientFault(INTERNAL, close.UNAVAILABLE)
        return self._backends[name]

    def window(self, model: str) -> int:
        """The context window of a model, by its id; the usual one while its engines start."""
        backend = self._backends.get(self._config.profile_of(model) or "")
        return WINDOW if backend is None else backend.backend.gauge.window

    async def _start(self, name: str, table: ProfileTable) -> ProfileBackend:
        builder = EngineBuilder(self._config.weights, self._say)
        started: list[VoiceDetector | Recognizer] = []
        try:
            detector = await builder.build("detector", table.detector)
            started.append(detector)
            recognizer = await builder.build("recognizer", table.recognizer)
            started.append(recognizer)
            responder = await builder.build("responder", table.responder)
        except BaseException:
            for engine in started:
                await _close(engine, name)
            raise
        for fallback in builder.fallbacks:
            log.warning("a part is replaced", extra={"profile": name, "problem": fallback})
        state = ComponentState.DEGRADED if builder.fallbacks else ComponentState.READY
        self._readiness.parts[f"profile {name}"] = Component(state, " ".join(builder.fallbacks))
        hosting = Backend(
            engines=Engines(detector, recognizer, responder),
            scorer=VoiceScorer(detector),
            listener=TurnLogger(name, self._metrics, self._config.log.personal),
            tools=self._toolbox,
            pace=OutputPace(silent_s=self._config.session.engine_silence_s),
            gauge=gauge_of(responder.capabilities, self._config.session.context_tokens),
            rates=RateLimits(self._config.session.messages_per_s, self._config.session.audio_speed),
        )
        return ProfileBackend(name, hosting)


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
