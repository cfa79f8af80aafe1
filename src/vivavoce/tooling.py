"""The composition root of the tools: from `[tools]` to what the server runs for its models.

Everything in `[tools]` is read before any mistake in it is told, so that all are told together,
each with its place.

A tool that was asked for and cannot work leaves the server up: conversations that want it are
refused with the reason, all others go on, and `/readyz` says that something is missing. An index
of documents may be made while the server runs: it is looked for again whenever a conversation
wants to search, and until it is there such a conversation is refused if `search` was written
down; if it was not, nobody asked for it, and it is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vivavoce.config.settings import Config, EngineChoice
from vivavoce.domain.content import ToolKind
from vivavoce.engines import document_search
from vivavoce.engines.pages import load_libraries
from vivavoce.engines.ports import SearchEngine
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, EngineMissing
from vivavoce.http.health import Component, ComponentState, Readiness
from vivavoce.metrics import Metrics
from vivavoce.tools.mcp.registry import McpRegistry
from vivavoce.tools.mcp.settings import read_settings as read_mcp
from vivavoce.tools.toolbox import CODE, SEARCH, URL, Toolbox
from vivavoce.tools.url_context import UrlContextTool
from vivavoce.tools.url_context import create_tool as create_web

log = logging.getLogger(__name__)

UNUSABLE = "The index of documents can't be used."


async def build_toolbox(
    config: Config, builder: EngineBuilder, readiness: Readiness, metrics: Metrics
) -> Toolbox:
    """Everything that `[tools]` asks for, started. Raises `ConfigError`."""
    tools, mistakes = config.tools, Mistakes()
    box = Toolbox(listener=_Recorder(metrics), deadline_s=tools.deadline_s)
    parts = _Parts(builder, readiness)
    mcp = None
    try:
        with mistakes.at("tools.search"):
            box.search = await parts.build(SEARCH, "search", tools.search)
        with mistakes.at("tools.code"):
            box.sandbox = await parts.build(CODE, "sandbox", tools.code)
        with mistakes.at("tools.url"):
            if tools.url is not False:
                box.web = parts.build_web({} if tools.url is True else tools.url)
        with mistakes.at("tools.mcp"):
            mcp = read_mcp(tools.mcp, tools.mcp_clients)
        mistakes.tell()
        if mcp is not None and (mcp.servers or mcp.client_origins):
            box.mcp = McpRegistry(mcp)
            await box.mcp.start()
    except BaseException:
        await box.aclose()
        raise
    lack = parts.missing.get(SEARCH)
    if lack is not None and lack.engine == document_search.ENGINE:
        box.find_search = _Finder(box, parts, tools.search).find
        if "search" not in tools.model_fields_set:
            del parts.missing[SEARCH]
            log.info("no search yet: it begins with the index that `vivavoce index DIR` makes")
    box.refusals = {kind: each.problem for kind, each in parts.missing.items()}
    for kind, each in parts.missing.items():
        parts.degraded(kind, "a tool cannot work here", f"{each.problem} {each.fix}")
    return box


class Mistakes:
    """Mistakes in the configuration, collected with their places to be told together."""

    def __init__(self) -> None:
        self._found: list[tuple[str, ConfigError]] = []

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """What is read here stands at `place`; a mistake in it ends the reading and no more."""
        try:
            yield
        except ConfigError as error:
            self._found.append((place, error))

    def tell(self) -> None:
        """Raise one `ConfigError` with all that were found, if any were."""
        if not self._found:
            return
        fixes = [f"{place}: {error.fix}" for place, error in self._found]
        raise ConfigError(
            "\n".join(f"{place}: {error.problem}" for place, error in self._found),
            "\n".join(fixes) if len(fixes) > 1 else self._found[0][1].fix,
        )


@dataclass(slots=True)
class _Parts:
    """Builds the engines behind the tools. `missing` is what could not be, and why."""

    builder: EngineBuilder
    readiness: Readiness
    missing: dict[str, EngineMissing] = field(default_factory=dict)

    async def build(self, kind: str, port: str, choice: EngineChoice) -> Any:
        """The engine behind a tool; `None` if it is off or lacks something, and then what."""
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
            self.degraded(kind, "a tool is replaced", fallback)
        return engine

    def build_web(self, table: Mapping[str, object]) -> UrlContextTool | None:
        """The tool that reads addresses; `None` where a library for it is missing."""
        tool = create_web(table)
        try:
            load_libraries()
        except EngineMissing as lack:
            self.missing[URL] = lack
            return None
        return tool

    def degraded(self, kind: str, what: str, problem: str) -> None:
        """Tell the operator of a tool that does not work as it was asked for."""
        log.warning(what, extra={"tool": kind, "problem": problem})
        self.readiness.parts[f"tool {kind}"] = Component(ComponentState.DEGRADED, problem)


@dataclass(slots=True)
class _Finder:
    """Looks again for the index of documents that was not there."""

    box: Toolbox
    parts: _Parts
    choice: EngineChoice

    async def find(self) -> SearchEngine | None:
        """The search, if there is one by now. It is then refused no more, and `/readyz` well."""
        name = f"tool {SEARCH}"
        try:
            engine: SearchEngine | None = await self.parts.build(SEARCH, "search", self.choice)
        except ConfigError as error:  # what has come there is no index
            log.warning("a tool cannot work here", extra={"tool": SEARCH, "problem": str(error)})
            self._refuse(UNUSABLE)
            return None
        if engine is None:
            self._refuse(self.parts.missing[SEARCH].problem)
            return None
        self.box.refusals = {k: why for k, why in self.box.refusals.items() if k != SEARCH}
        if name in self.parts.readiness.parts:
            self.parts.readiness.parts[name] = Component(ComponentState.READY)
        log.info("the index of documents was found")
        return engine

    def _refuse(self, why: str) -> None:
        """Why it is refused may have changed; whether it is, is the operator's choice."""
        if SEARCH in self.box.refusals:
            self.box.refusals = {**self.box.refusals, SEARCH: why}


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
