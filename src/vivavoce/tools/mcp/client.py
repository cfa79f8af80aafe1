"""The MCP servers of one conversation: those that its client brings or asks for by name.

Every update names them anew. A server that is named again, in the same words, keeps its
connection; one that is not named any more is retired: its tools are no longer offered, what runs
on it may end (`keeper`). There may be at most `MAX_RETIRED` such connections, beyond which the
oldest is closed whatever runs on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vivavoce.domain.content import Json
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ToolError
from vivavoce.tools.mcp.client_servers import read_request
from vivavoce.tools.mcp.names import distinct_names
from vivavoce.tools.mcp.settings import McpServerSpec, McpSettings

if TYPE_CHECKING:
    from vivavoce.tools.mcp.connection import McpConnection
    from vivavoce.tools.mcp.tool import McpTool

log = logging.getLogger(__name__)

MAX_RETIRED = 8


class McpClientTools:
    """What one client's `mcpServers` bring. To be closed."""

    def __init__(
        self, settings: McpSettings, configured: Mapping[str, McpConnection], workers: WorkerPool
    ) -> None:
        self._settings = settings
        self._configured = configured
        self._workers = workers
        self._own: list[McpConnection] = []
        self._asked: list[McpConnection] = []
        self._retired: deque[McpConnection] = deque()

    async def request_servers(self, options: Sequence[Json]) -> None:
        """Replace what was wanted: `options` are those of the client's `BuiltinTool`s.

        Servers of its own are connected to, all at once, each within its `connect_s`; one that
        can't be reached is logged and left out. Raises `ClientFault` for what is refused.
        """
        requested = read_request(options, self._settings)
        kept = [each for each in self._own if each.up and each.spec in requested.own]
        known = [each.spec for each in kept]
        fresh = [connection(spec, self._workers) for spec in requested.own if spec not in known]
        try:
            await asyncio.gather(*(_open(each) for each in fresh))
        except BaseException:
            await close(fresh)
            raise
        gone = [each for each in self._own if each not in kept]
        self._own = [*kept, *fresh]
        self._asked = [
            each
            for name in requested.names
            if (each := self._configured.get(name)) is not None and each.spec.asked
        ]
        for each in self._asked:
            if not each.up:
                log.warning("MCP server that a client asks for is down: server=%s", each.spec.name)
        await self._retire(gone)

    def tools(self, taken: Collection[str] = ()) -> tuple[McpTool, ...]:
        """The tools of those of its servers that are up now; no name is among `taken`."""
        return tools_of([*self._own, *self._asked], taken)

    async def aclose(self) -> None:
        """Close the client's own servers, within a bounded time. The operator's stay."""
        own, self._own, self._asked = self._own, [], []
        retired, self._retired = self._retired, deque()
        await close([*own, *retired])

    async def _retire(self, gone: Iterable[McpConnection]) -> None:
        for each in gone:
            each.retire()
        self._retired = deque(each for each in (*self._retired, *gone) if not each.over)
        surplus = [self._retired.popleft() for _ in range(len(self._retired) - MAX_RETIRED)]
        await close(surplus)


def connection(spec: McpServerSpec, workers: WorkerPool, lasting: bool = False) -> McpConnection:
    """A connection that was not begun. The first one imports the `mcp` package."""
    from vivavoce.tools.mcp.connection import McpConnection

    return McpConnection(spec, workers, lasting)


async def close(connections: Iterable[McpConnection]) -> None:
    """Close them side by side."""
    await asyncio.gather(*(each.aclose() for each in connections))


def tools_of(connections: Sequence[McpConnection], taken: Collection[str]) -> tuple[McpTool, ...]:
    """The tools of those that are up, by names that are distinct and not among `taken`."""
    from vivavoce.tools.mcp.tool import McpTool

    found = [(each, tool) for each in connections if each.up for tool in each.tools]
    wanted = [(each.spec.name, each.spec.prefix + tool.name) for each, tool in found]
    return tuple(
        McpTool(name, tool, each)
        for name, (each, tool) in zip(distinct_names(wanted, taken), found, strict=True)
    )


async def _open(connection: McpConnection) -> None:
    try:
        await connection.open()
    except ToolError as error:
        log.warning("MCP server of a client is left out: %s", error)
