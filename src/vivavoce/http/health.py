"""Health, version and metrics endpoints, and the readiness state behind them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vivavoce.errors import StoreError
from vivavoce.metrics import Metrics
from vivavoce.runtime.tasks import EngineTasks, PeriodicTask
from vivavoce.store.port import StateStore

log = logging.getLogger(__name__)

PING_INTERVAL_S = 5.0


class ComponentState(Enum):
    """State of a part of the server. `DEGRADED` still serves conversations, with a limitation."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Component:
    """State of a part of the server, with a note on the reason."""

    state: ComponentState
    note: str = ""


@dataclass(slots=True)
class Readiness:
    """Readiness of a server: the states of its parts, by name."""

    parts: dict[str, Component] = field(default_factory=dict)
    draining: bool = False

    @property
    def ready(self) -> bool:
        if self.draining:
            return False
        return all(
            part.state in (ComponentState.READY, ComponentState.DEGRADED)
            for part in self.parts.values()
        )

    def report(self) -> Mapping[str, object]:
        """Build the response of `/readyz`."""
        status = "draining" if self.draining else "ready" if self.ready else "not ready"
        return {
            "status": status,
            "parts": {
                name: {"state": part.state.value, "note": part.note}
                if part.note
                else {"state": part.state.value}
                for name, part in self.parts.items()
            },
        }


class StoreMonitor:
    """Opener and monitor of the store, which is pinged every `PING_INTERVAL_S`.

    A server whose store is unavailable is degraded, not failed: conversations continue.
    """

    PART = "store"

    def __init__(self, store: StateStore, readiness: Readiness) -> None:
        self._store = store
        self._readiness = readiness
        self._pinging = PeriodicTask("store", PING_INTERVAL_S, self._ping_store)
        readiness.parts[self.PART] = Component(ComponentState.STARTING)

    @property
    def _kind(self) -> str:
        return self._store.name.split()[0]

    async def start(self) -> None:
        """Open the store. Raises `ConfigError` for permanent faults."""
        try:
            await self._store.start()
        except StoreError as error:
            self._note_unavailable(error)
        else:
            self._note_available()
        self._pinging.start()

    async def aclose(self) -> None:
        """Stop monitoring, and close the store."""
        await self._pinging.aclose()
        await self._store.aclose()

    async def _ping_store(self) -> None:
        try:
            await self._store.ping()
        except StoreError as error:
            self._note_unavailable(error)
        except Exception as error:
            log.exception("store ping failed")
            self._note_unavailable(StoreError(f"It failed: {type(error).__name__}."))
        else:
            self._note_available()

    # Probes get the kind of store only; its address and the cause are logged only.

    def _note_available(self) -> None:
        self._readiness.parts[self.PART] = Component(ComponentState.READY, self._kind)

    def _note_unavailable(self, error: StoreError) -> None:
        if self._readiness.parts[self.PART].state is not ComponentState.DEGRADED:
            log.warning("state store unavailable", extra={"problem": str(error)})
        note = f"{self._kind} cannot be used; sessions cannot be resumed meanwhile."
        self._readiness.parts[self.PART] = Component(ComponentState.DEGRADED, note)


def health_routes(
    readiness: Readiness, metrics: Metrics, version: str, sessions: Callable[[], int]
) -> list[Route]:
    """Build the routes of health, version and metrics, and of the page at `/`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        return JSONResponse(readiness.report(), status_code=200 if readiness.ready else 503)

    async def about(_: Request) -> Response:
        return JSONResponse({"name": "vivavoce", "version": version})

    async def measured(_: Request) -> Response:
        metrics.sessions_active.set(sessions())
        metrics.uncancelled_tasks.set(EngineTasks.uncancelled_total)
        return Response(metrics.exposition(), media_type=metrics.content_type)

    async def front(_: Request) -> Response:
        return Response(_FRONT.format(version=version), media_type="text/plain; charset=utf-8")

    return [
        Route("/", front),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/health", ready),
        Route("/healthz", ready),
        Route("/version", about),
        Route("/metrics", measured),
    ]


_FRONT = """vivavoce {version}

A server for real-time voice conversation that speaks the Gemini Live API.
Point a client of Google's SDKs here: `eval "$(vivavoce env)"`, or `vivavoce run -- COMMAND`.
In a checkout the command is `.venv/bin/vivavoce`.

/readyz    whether it can hold a conversation
/metrics   what it measured, for Prometheus
/v1beta/models   the models it offers
"""
