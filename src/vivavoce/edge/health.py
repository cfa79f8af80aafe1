"""Whether the server lives, whether it can hold a conversation, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vivavoce.metrics import Metrics
from vivavoce.runtime.errands import Errands


class PartState(Enum):
    """How a part of the server is doing. `DEGRADED` still converses, with something missing."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the server, how it does, and the sentence that says why."""

    state: PartState
    note: str = ""


@dataclass(slots=True)
class Readiness:
    """All parts by name. Ready means that none is starting or failed."""

    parts: dict[str, Part] = field(default_factory=dict)
    draining: bool = False

    @property
    def ready(self) -> bool:
        if self.draining:
            return False
        return all(
            part.state in (PartState.READY, PartState.DEGRADED) for part in self.parts.values()
        )

    def report(self) -> Mapping[str, object]:
        """The answer of `/readyz`."""
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


def health_routes(
    readiness: Readiness, metrics: Metrics, version: str, sessions: Callable[[], int]
) -> list[Route]:
    """`/livez`, `/readyz`, `/health`, `/healthz`, `/version`, `/metrics` and the page at `/`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        return JSONResponse(readiness.report(), status_code=200 if readiness.ready else 503)

    async def about(_: Request) -> Response:
        return JSONResponse({"name": "vivavoce", "version": version})

    async def measured(_: Request) -> Response:
        metrics.sessions_active.set(sessions())
        metrics.stubborn.set(Errands.stubborn_total)
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

/readyz    whether it can hold a conversation
/metrics   what it measured, for Prometheus
/v1beta/models   the models it offers
"""
