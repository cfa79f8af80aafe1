"""The tools of one server while there is a session with it: read, and read again when they change.

Older servers tell of a change by a notification that nobody has to ask for, newer ones only to
those who listen. Either way a change is only a hint that the list is to be read again; many that
come close together are one.
"""

from __future__ import annotations

import asyncio
import logging

import anyio
from mcp import Client
from mcp.client import IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import ToolListChangedNotification

from vivavoce.tools.mcp.listing import RemoteTool, list_tools
from vivavoce.tools.mcp.settings import McpServerSpec

log = logging.getLogger(__name__)

RELIST_S = 0.2
"""Changes of the list that come closer together than this are one."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class ToolList:
    """`tools` are those of the latest session, also when it is over."""

    def __init__(self, spec: McpServerSpec) -> None:
        self.tools: tuple[RemoteTool, ...] = ()
        self._spec = spec
        self._stale = asyncio.Event()

    async def read_tools(self, client: Client) -> None:
        """Ask for the list. Raises whatever the way there does."""
        self._stale.clear()
        self.tools = await list_tools(client, self._spec)

    async def follow_changes(self, client: Client) -> None:
        """Read the list whenever it has changed, until cancelled. Raises like `read_tools`."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, client)
            while True:
                await self._stale.wait()
                await asyncio.sleep(RELIST_S)
                async with asyncio.timeout(self._spec.connect_s):
                    await self.read_tools(client)
                log.info("MCP tools have changed: server=%s tools=%d",
                         self._spec.name, len(self.tools))  # fmt: skip

    async def handle_notification(self, message: IncomingMessage) -> None:
        """Something that the server says by itself."""
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()

    async def _listen(self, client: Client) -> None:
        offered = client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        name, pause = self._spec.name, FIRST_PAUSE_S
        while True:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    self._stale.set()  # it may be, between the listing and this moment
                    async for _ in changes:
                        self._stale.set()
                        pause = FIRST_PAUSE_S
            except (ListenNotSupportedError, MCPError, TimeoutError) as error:
                log.debug("MCP server tells of no changes: server=%s (%s)",
                          name, type(error).__name__)  # fmt: skip
                return
            except SubscriptionLost:
                log.debug("MCP server stopped telling of changes: server=%s", name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
