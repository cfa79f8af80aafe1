"""The composition root of the tools: from `[tools]` to what the server runs for its models.

A tool that was asked for and cannot work leaves the server up: conversations that want it are
refused with the reason, all others go on, and `/readyz` says that something is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vivavoce.config import Config, EngineChoice
from vivavoce.domain.content import ToolKind
from vivavoce.edge.health import Part, PartState, Readiness
from vivavoce.engines.ports import EngineHost
from vivavoce.engines.registry import House
from vivavoce.errors import EngineMissing
from vivavoce.metrics import Metrics
from vivavoce.tools.mcp.hub import McpHub
from vivavoce.tools.mcp.settings import read_settings as read_mcp
from vivavoce.tools.toolbox import CODE, SEARCH, Toolbox
from vivavoce.tools.web.tool import create as create_web

log = logging.getLogger(__name__)


async def build_toolbox(
    config: Config, house: House, readiness: Readiness, metrics: Metrics
) -> Toolbox:
    """Everything that `[tools]` asks for, started. Raises `ConfigError`."""
    tools = config.tools
    missing: dict[str, EngineMissing] = {}
    implicit = "search" not in tools.model_fields_set
    box = Toolbox(listener=_Recorder(metrics), deadline_s=tools.deadline_s)
    try:
        box.search = await _build(house, "search", tools.search, SEARCH, missing)
        if implicit and SEARCH in missing:
            del missing[SEARCH]
            box.find_search = lambda: _build(house, "search", tools.search, SEARCH, {})
            log.info("no search yet: it begins with the index that `vivavoce index DIR` makes")
        box.sandbox = await _build(house, "sandbox", tools.code, CODE, missing)
        if tools.url is not False:
            box.web = create_web({} if tools.url is True else tools.url)
        mcp = read_mcp(tools.mcp, tools.mcp_clients)
        if mcp.servers or mcp.client_origins:
            box.hub = McpHub(mcp)
            await box.hub.start()
    except BaseException:
        await box.aclose()
        raise
    for fallback in house.fallbacks:
        log.warning("a tool is replaced", extra={"problem": fallback})
        readiness.parts["tool codeExecution"] = Part(PartState.DEGRADED, fallback)
    box.refusals = {kind: each.lack for kind, each in missing.items()}
    for kind, each in missing.items():
        log.warning("a tool cannot work here", extra={"tool": kind, "problem": each.problem})
        readiness.parts[f"tool {kind}"] = Part(PartState.DEGRADED, each.problem)
    return box


async def _build(
    house: EngineHost,
    port: str,
    choice: EngineChoice,
    kind: str,
    missing: dict[str, EngineMissing],
) -> Any:
    """The engine behind a tool; `None` if it is off or lacks something, and then what."""
    if not choice:
        return None
    try:
        return await house.build(port, choice)
    except EngineMissing as lack:
        missing[kind] = lack
        return None


class _Recorder:
    """Counts the runs of the server's tools."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def tool_ran(self, kind: ToolKind, name: str, failed: str, took_s: float) -> None:
        outcome = "failed" if failed else "ok"
        self._metrics.server_tools.labels(kind.value, outcome).inc()
        self._metrics.server_tool_duration.labels(kind.value).observe(took_s)
        facts: Mapping[str, object] = {"tool": name, "outcome": outcome, "ms": round(took_s * 1000)}
        log.info("tool ran", extra=facts)
