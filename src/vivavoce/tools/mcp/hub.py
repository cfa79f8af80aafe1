"""All MCP servers that the house knows: the operator's for everybody, a client's for itself.

Configured servers are connected to in the background, from the start of the server to its end;
one that is down is tried again, and its tools appear when it is up. Servers that a client brings
are connected to for one conversation and closed with it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Self

from vivavoce.domain.content import Json
from vivavoce.engines.lanes import Lane
from vivavoce.errors import ToolError
from vivavoce.tools.mcp.names import distinct
from vivavoce.tools.mcp.requested import read_request
from vivavoce.tools.mcp.settings import McpServerSpec, McpSettings

if TYPE_CHECKING:
    from vivavoce.tools.mcp.connection import McpConnection
    from vivavoce.tools.mcp.tool import McpTool

log = logging.getLogger(__name__)


class McpHub:
    """The MCP servers of the whole process."""

    def __init__(self, settings: McpSettings) -> None:
        self._settings = settings
        self._lane = Lane("mcp")
        self._connections: dict[str, McpConnection] = {}

    async def start(self) -> None:
        """Begin to connect to the configured servers. Does not wait for any of them."""
        if self._settings.client_origins:
            # The `mcp` package takes a second to import, during which no conversation may wait.
            importlib.import_module("vivavoce.tools.mcp.connection")
        for spec in self._settings.servers:
            connection = _connection(spec, self._lane, lasting=True)
            self._connections[spec.name] = connection
            connection.start()

    async def aclose(self) -> None:
        """Close every connection to a configured server, within a bounded time."""
        await _close(self._connections.values())
        self._lane.close()

    def tools(self, taken: Collection[str] = ()) -> tuple[McpTool, ...]:
        """The tools for every conversation, of the configured servers that are up now.

        Their names are distinct, and none is among `taken`.
        """
        always = [each for each in self._connections.values() if not each.spec.asked]
        return _tools(always, taken)

    async def connect(self, options: Sequence[Json], taken: Collection[str] = ()) -> McpClientTools:
        """What a client's `mcpServers` bring: `options` are those of its `BuiltinTool`s.

        Its own servers are connected to, all at once, each within its `connect_s`; one that
        can't be reached is logged and is among `missing`. The names of the tools differ from
        `taken`, which should hold those of `tools()`. Raises `ClientFault` for what is refused.
        """
        requested = read_request(options, self._settings)
        own = [_connection(spec, self._lane) for spec in requested.own]
        asked = [self._connections[name] for name in requested.names if name in self._connections]
        tools = McpClientTools(own, [each for each in asked if each.spec.asked], taken)
        try:
            await asyncio.gather(*(_open(each) for each in own))
        except BaseException:
            await tools.aclose()
            raise
        return tools


class McpClientTools:
    """The MCP tools that one client's `mcpServers` brought. To be closed."""

    def __init__(
        self,
        own: Sequence[McpConnection],
        asked: Sequence[McpConnection],
        taken: Collection[str] = (),
    ) -> None:
        self._own = own
        self._asked = asked
        self._taken = frozenset(taken)

    @property
    def tools(self) -> tuple[McpTool, ...]:
        """The tools of those of its servers that are up now."""
        return _tools([*self._own, *self._asked], self._taken)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of servers that were asked for and are not there."""
        return tuple(each.spec.name for each in (*self._own, *self._asked) if not each.up)

    async def aclose(self) -> None:
        """Close the client's own servers, within a bounded time. The operator's stay."""
        await _close(self._own)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _connection(spec: McpServerSpec, lane: Lane, lasting: bool = False) -> McpConnection:
    from vivavoce.tools.mcp.connection import McpConnection

    return McpConnection(spec, lane, lasting)


async def _open(connection: McpConnection) -> None:
    try:
        await connection.open()
    except ToolError as error:
        log.warning("MCP server of a client is left out: %s", error)


async def _close(connections: Iterable[McpConnection]) -> None:
    await asyncio.gather(*(each.aclose() for each in connections))


def _tools(connections: Sequence[McpConnection], taken: Collection[str]) -> tuple[McpTool, ...]:
    from vivavoce.tools.mcp.tool import McpTool

    found = [(each, tool) for each in connections if each.up for tool in each.tools]
    wanted = [(each.spec.name, each.spec.prefix + tool.name) for each, tool in found]
    return tuple(
        McpTool(name, tool, each)
        for name, (each, tool) in zip(distinct(wanted, taken), found, strict=True)
    )
