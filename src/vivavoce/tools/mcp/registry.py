"""All MCP servers that the house knows: the operator's for everybody, a client's for itself.

Configured servers are connected to in the background, from the start of the server to its end;
one that is down is tried again, and its tools appear when it is up. Servers that a client brings
are connected to for one conversation and closed with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from vivavoce.engines.workers import WorkerPool
from vivavoce.installing import missing_library
from vivavoce.tools.mcp.client import McpClientTools, close, connection, tools_of
from vivavoce.tools.mcp.settings import McpSettings

if TYPE_CHECKING:
    from vivavoce.tools.mcp.connection import McpConnection
    from vivavoce.tools.mcp.tool import McpTool


class McpRegistry:
    """The MCP servers of the whole process."""

    def __init__(self, settings: McpSettings) -> None:
        self._settings = settings
        self._workers = WorkerPool("mcp")
        self._connections: dict[str, McpConnection] = {}

    async def start(self) -> None:
        """Begin to connect to the configured servers. Does not wait for any of them.

        Raises `EngineMissing` without the package `mcp`.
        """
        try:
            # The `mcp` package takes a second to import, during which no conversation may wait.
            importlib.import_module("vivavoce.tools.mcp.connection")
        except ModuleNotFoundError as error:
            raise missing_library("mcp", error) from error
        for spec in self._settings.servers:
            each = connection(spec, self._workers, lasting=True)
            self._connections[spec.name] = each
            each.start()

    async def aclose(self) -> None:
        """Close every connection to a configured server, within a bounded time."""
        await close(self._connections.values())
        self._workers.close()

    def tools(self, taken: Collection[str] = ()) -> tuple[McpTool, ...]:
        """The tools for every conversation, of the configured servers that are up now.

        Their names are distinct, and none is among `taken`.
        """
        always = [each for each in self._connections.values() if not each.spec.asked]
        return tools_of(always, taken)

    def open(self) -> McpClientTools:
        """The MCP servers of one conversation, none of which has been named yet."""
        return McpClientTools(self._settings, self._connections, self._workers)
