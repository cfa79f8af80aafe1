"""Everything that the server can run, and what of it one conversation gets.

A `Toolbox` is the server's: the engines behind its tools, started once. Each conversation gets a
`SessionTools` from it, which turns the API's own kinds of tools (`googleSearch`,
`codeExecution`, …) into functions that a model can call, and runs these calls.

What a client asks for and does not get is of two kinds. What the operator has not turned on is
*unserved*: told to `on_unserved`, which may refuse it, and otherwise left out. What is turned on
and cannot work here is refused with its reason: a client should not find out in mid-sentence.

A call that fails is an outcome: the model is told in one sentence and apologizes, the log has
the cause. Every run has a time limit.
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
from vivavoce.tools.mcp.registry import McpRegistry
from vivavoce.tools.mcp.settings import names_only
from vivavoce.tools.ports import OnUnserved, RunnableTool
from vivavoce.tools.search import SearchFilters, SearchTool
from vivavoce.tools.url_context import UrlContextTool

log = logging.getLogger(__name__)

SEARCH, CODE, URL, MCP = "googleSearch", "codeExecution", "urlContext", "mcpServers"
SEARCHES = (SEARCH, "googleSearchRetrieval")

MAX_KNOWN = 8
"""Sets of tools, of the setup and of updates, whose calls can still be run."""

REPORTED = "It reported an error."
"""What the log says of a tool that words its failure itself; the words may repeat its arguments."""

_Offered = tuple[ServerTool, RunnableTool]
"""What a model is told of a tool, under the name that it has in the conversation, and the tool."""


class ToolListener(Protocol):
    """Hears of every run of a tool."""

    def tool_ran(self, kind: ToolKind, name: str, failed: str, took_s: float) -> None:
        """`failed` is why it gave nothing; empty if it did."""
        ...


@dataclass(slots=True)
class Toolbox:
    """What the server runs. `refusals` says, by the API's name of a kind, why it cannot.

    `find_search` is asked for the search while there is none: an index may be made later.
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

    async def searching(self) -> SearchEngine | None:
        """The search, if there is one by now."""
        async with self._finding:
            if self.search is None and self.find_search is not None:
                self.search = await self.find_search()
        return self.search

    def open(self, on_unserved: OnUnserved) -> SessionTools:
        """The tools of one conversation, none of which has been asked for yet."""
        return SessionTools(self, on_unserved)

    async def aclose(self) -> None:
        """Stop everything that was started for the tools, each whatever the others do."""
        parts = [each for each in (self.mcp, self.sandbox, self.search, self.web)
                 if each is not None]  # fmt: skip
        ends = await asyncio.gather(*(each.aclose() for each in parts), return_exceptions=True)
        if failures := [end for end in ends if isinstance(end, Exception)]:
            raise ExceptionGroup("Parts of the tools did not close.", failures)


class SessionTools:
    """One conversation's tools. `resolve` is called for the setup and for every update.

    The headers of a client's MCP servers are read here and go no further: what `resolve` gives
    back is kept in checkpoints and traces.

    What was filled in earlier can still be run: a generation may be older than many updates.
    """

    def __init__(self, box: Toolbox, on_unserved: OnUnserved) -> None:
        self._box = box
        self._on_unserved = on_unserved
        self._known: deque[list[_Offered]] = deque(maxlen=MAX_KNOWN)
        self._brought = box.mcp.open() if box.mcp is not None else None

    async def resolve(self, tools: Tools) -> Tools:
        """`tools` with the server's own filled in. Raises `ClientFault`."""
        taken = {function.name for function in tools.functions}
        offered: list[_Offered] = []
        if any(tool.kind in SEARCHES for tool in tools.builtin):
            await self._box.searching()
        for tool in self._builtin(tools.builtin):
            about = _distinct(tool.about, taken)
            taken.add(about.declaration.name)
            offered.append((about, tool))
        offered += [(tool.about, tool) for tool in await self._of_servers(tools, taken)]
        self._known.append(offered)
        return replace(
            tools,
            builtin=tuple(_without_secrets(tool) for tool in tools.builtin),
            server=tuple(about for about, _ in offered),
        )

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        """Run a call. Failures are outcomes; only bugs and cancellation are raised."""
        began, culprit, problem = time.monotonic(), call.name, REPORTED
        tool = self._find_tool(call, request)
        try:
            if tool is None:
                raise ToolError(call.name, "This tool is not offered any more.")
            async with asyncio.timeout(self._box.deadline_s):
                outcome = await tool.run(call.args, request)
        except ToolError as failure:
            culprit, problem = failure.tool, failure.problem
            outcome = _failed(failure.model_text)
        except TimeoutError:
            problem = f"It took longer than {self._box.deadline_s:g} seconds."
            outcome = _failed(problem)
        if outcome.failed:
            words = {"tool": culprit, "problem": problem, "told": outcome.failed}
            log.warning("tool failed", extra=words)
        if self._box.listener is not None and tool is not None:
            took_s = time.monotonic() - began
            self._box.listener.tool_ran(tool.about.kind, call.name, outcome.failed, took_s)
        return outcome

    async def aclose(self) -> None:
        """The conversation is over."""
        if self._brought is not None:
            await self._brought.aclose()

    def _find_tool(self, call: ToolCall, request: GenerationRequest) -> RunnableTool | None:
        """The tool that had this name when the call was made; an update may have come since."""
        wanted = request.tools.find_server_tool(call.name)
        known = (each for offered in self._known for each in offered)
        return next((tool for about, tool in known if about is wanted), None)

    async def _of_servers(self, tools: Tools, taken: set[str]) -> list[RunnableTool]:
        """The tools of MCP servers: those for everybody, and those that the client brings."""
        wanted = [tool.options for tool in tools.builtin if tool.kind == MCP]
        if self._box.mcp is None or self._brought is None:
            if wanted:
                self._on_unserved("tool", MCP)
            return []
        # Also where none is wanted: those of an earlier update are let go.
        await self._brought.request_servers(wanted)
        found = self._box.mcp.tools(taken)
        taken = taken | {tool.about.declaration.name for tool in found}
        return [*found, *self._brought.tools(taken)]

    def _builtin(self, wanted: Iterable[BuiltinTool]) -> Iterator[RunnableTool]:
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
    """The tool as it may be kept: of MCP servers, only which of the operator's are wanted."""
    return BuiltinTool(MCP, names_only(tool.options)) if tool.kind == MCP else tool


def _distinct(about: ServerTool, taken: set[str]) -> ServerTool:
    """The tool under a name that nothing else of the conversation has."""
    declaration = about.declaration
    name, number = declaration.name, 2
    while name in taken:
        name, number = f"{declaration.name}_{number}", number + 1
    return ServerTool(replace(declaration, name=name), about.kind)
