"""Toolbox of the server: all tools that it runs, and the selection for one conversation.

A `Toolbox` is the server's: the engines behind its tools, started once. Each conversation gets a
`SessionTools` from it, which turns the API's own kinds of tools (`googleSearch`, `codeExecution`,
…) into functions that a model can call, and runs these calls.

A kind that the operator has not turned on is *unserved*: `on_unserved` may refuse it, otherwise it
is left out. A kind that is turned on and cannot work here is refused with its reason: a client
should not find out in mid-sentence.

A call that fails is an outcome: the model gets one sentence, the log the cause. Every run has a
time limit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from vivavoce.domain.content import BuiltinTool, ServerTool, ToolCall, ToolKind, ToolOutcome, Tools
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import Sandbox, SearchEngine
from vivavoce.errors import POLICY, ClientFault, ToolError
from vivavoce.tools.code import CodeTool
from vivavoce.tools.mcp.registry import McpRegistry, free_name
from vivavoce.tools.mcp.settings import names_only
from vivavoce.tools.ports import OnUnserved, RunnableTool
from vivavoce.tools.search import SearchFilters, SearchTool
from vivavoce.tools.url_context import UrlContextTool

log = logging.getLogger(__name__)

SEARCH, CODE, URL, MCP = "googleSearch", "codeExecution", "urlContext", "mcpServers"
SEARCHES = (SEARCH, "googleSearchRetrieval")

MAX_TOOL_SETS = 8
"""Sets of tools, of the setup and of updates, whose calls can still run."""

REPORTED_ERROR = "It reported an error."
"""Logged for a tool that describes its failure itself: its words may repeat the arguments."""

_Offered = tuple[ServerTool, RunnableTool]
"""A tool under the name that it has in the conversation, and what runs it."""


class ToolListener(Protocol):
    """Observes every run of a tool."""

    def tool_ran(self, kind: ToolKind, name: str, failed: str, took_s: float) -> None:
        """Record a run; `failed` is why it gave no result, empty if it did."""
        ...


@dataclass(slots=True)
class Toolbox:
    """The engines behind the server's tools. `refusals` are reasons by the API's name of a kind.

    `find_search` is called while there is no search: an index may be made later.
    """

    search: SearchEngine | None = None
    sandbox: Sandbox | None = None
    web: UrlContextTool | None = None
    mcp: McpRegistry | None = None
    find_search: Callable[[], Awaitable[SearchEngine | None]] | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    listener: ToolListener | None = None
    deadline_s: float = 30.0
    _finding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure_search(self) -> None:
        """Look for the search engine if there was none before."""
        async with self._finding:
            if self.search is None and self.find_search is not None:
                self.search = await self.find_search()

    def open(self, on_unserved: OnUnserved) -> SessionTools:
        """Return the tools of one conversation, before any is resolved."""
        return SessionTools(self, on_unserved)

    async def aclose(self) -> None:
        """Close all engines, also if one of them fails."""
        engines = [each for each in (self.mcp, self.sandbox, self.search, self.web)
                   if each is not None]  # fmt: skip
        ends = await asyncio.gather(*(each.aclose() for each in engines), return_exceptions=True)
        if failures := [end for end in ends if isinstance(end, Exception)]:
            raise ExceptionGroup("Engines of tools did not close.", failures)


class SessionTools:
    """The tools of one conversation. `resolve` is called for the setup and for every update.

    The headers of a client's MCP servers are read here and go no further: the result of `resolve`
    is stored in checkpoints and traces. Earlier tools can still be run: a generation may be older
    than many updates.
    """

    def __init__(self, box: Toolbox, on_unserved: OnUnserved) -> None:
        self._box = box
        self._on_unserved = on_unserved
        self._known: deque[list[_Offered]] = deque(maxlen=MAX_TOOL_SETS)
        self._client_mcp = box.mcp.open() if box.mcp is not None else None

    async def resolve(self, tools: Tools) -> Tools:
        """Return `tools` with the server's own added. Raises `ClientFault`."""
        taken = {function.name for function in tools.functions}
        offered: list[_Offered] = []
        if any(tool.kind in SEARCHES for tool in tools.builtin):
            await self._box.ensure_search()
        for tool in self._builtin_tools(tools.builtin):
            declaration = tool.spec.declaration
            name = free_name(declaration.name, taken)
            taken.add(name)
            offered.append((ServerTool(replace(declaration, name=name), tool.spec.kind), tool))
        offered += [(tool.spec, tool) for tool in await self._mcp_tools(tools, taken)]
        self._known.append(offered)
        return replace(
            tools,
            builtin=tuple(_without_secrets(tool) for tool in tools.builtin),
            server=tuple(spec for spec, _ in offered),
        )

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        """Run a call. Failures are outcomes; only bugs and cancellation are raised."""
        began, failed_tool, problem = time.monotonic(), call.name, REPORTED_ERROR
        tool = self._find_tool(call, request)
        try:
            if tool is None:
                raise ToolError(call.name, "This tool is not offered any more.")
            async with asyncio.timeout(self._box.deadline_s):
                outcome = await tool.run(call.args, request)
        except ToolError as failure:
            failed_tool, problem = failure.tool, failure.problem
            outcome = _failed(failure.model_text)
        except TimeoutError:
            problem = f"It took longer than {self._box.deadline_s:g} seconds."
            outcome = _failed(problem)
        if outcome.failed:
            words = {"tool": failed_tool, "problem": problem, "quoted": outcome.failed}
            log.warning("tool failed", extra=words)
        if self._box.listener is not None and tool is not None:
            took_s = time.monotonic() - began
            self._box.listener.tool_ran(tool.spec.kind, call.name, outcome.failed, took_s)
        return outcome

    async def aclose(self) -> None:
        """Close the MCP connections of the conversation."""
        if self._client_mcp is not None:
            await self._client_mcp.aclose()

    def _find_tool(self, call: ToolCall, request: GenerationRequest) -> RunnableTool | None:
        """Return the tool that had this name when the call was made, before later updates."""
        wanted = request.tools.find_server_tool(call.name)
        known = (each for offered in self._known for each in offered)
        return next((tool for spec, tool in known if spec is wanted), None)

    async def _mcp_tools(self, tools: Tools, taken: set[str]) -> list[RunnableTool]:
        """Return the tools of MCP servers: those for every conversation, and this client's."""
        wanted = [tool.options for tool in tools.builtin if tool.kind == MCP]
        if self._box.mcp is None or self._client_mcp is None:
            if wanted:
                self._on_unserved("tool", MCP)
            return []
        # Also where none is wanted: those of an earlier update are retired.
        await self._client_mcp.request_servers(wanted)
        found = self._box.mcp.tools(taken)
        taken = taken | {tool.spec.declaration.name for tool in found}
        return [*found, *self._client_mcp.tools(taken)]

    def _builtin_tools(self, wanted: Iterable[BuiltinTool]) -> Iterator[RunnableTool]:
        box, seen = self._box, set[str]()
        for tool in wanted:
            kind = SEARCH if tool.kind in SEARCHES else tool.kind
            if kind in seen or kind == MCP:
                continue
            seen.add(kind)
            if kind in box.refusals:
                reason = f"{tool.kind} is not available: {box.refusals[kind]}"
                raise ClientFault(POLICY, reason)
            if kind == SEARCH and box.search is not None:
                yield SearchTool(box.search, SearchFilters.from_options(tool.options))
            elif kind == CODE and box.sandbox is not None:
                yield CodeTool(box.sandbox)
            elif kind == URL and box.web is not None:
                yield box.web
            else:
                self._on_unserved("tool", tool.kind)


def _failed(problem: str) -> ToolOutcome:
    return ToolOutcome({"error": problem}, failed=problem)


def _without_secrets(tool: BuiltinTool) -> BuiltinTool:
    """Return the tool as it may be stored: of MCP servers, only the names of the operator's."""
    return BuiltinTool(MCP, names_only(tool.options)) if tool.kind == MCP else tool
