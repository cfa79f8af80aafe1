"""Calls of one MCP server's tools.

They run side by side, and each can be cancelled by itself, upon which the server is told. A call
is sent twice only where it is certain that the server never took it the first time. What a server
says of a failure may repeat what somebody said: it reaches the model and not the log.
"""

from __future__ import annotations

import asyncio
import logging

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
)

from vivavoce.domain.content import Json
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ToolError
from vivavoce.tools.mcp.listing import RemoteTool
from vivavoce.tools.mcp.results import MAX_ERROR, cut_text
from vivavoce.tools.mcp.session import McpSession, McpSessionState
from vivavoce.tools.mcp.settings import McpServerSpec
from vivavoce.tools.mcp.transport import MAX_CALLS, Delivery, delivery

log = logging.getLogger(__name__)

STRIKES = 2
"""Calls in a row without an answer, after which the connection itself is held for dead."""


class McpConnection:
    """One server, as long as anybody may want it."""

    def __init__(self, spec: McpServerSpec, workers: WorkerPool, lasting: bool = False) -> None:
        self.spec = spec
        self.workers = workers
        self._session = McpSession(spec, workers, lasting)
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._strikes = 0

    @property
    def tools(self) -> tuple[RemoteTool, ...]:
        """What the server listed when it was last there."""
        return self._session.tools

    @property
    def state(self) -> McpSessionState:
        """Where the connection stands."""
        return self._session.state

    @property
    def up(self) -> bool:
        """Whether the server is there, as far as is known, and its tools may be offered."""
        return self.state is McpSessionState.UP

    @property
    def over(self) -> bool:
        """Whether nothing of the connection is left."""
        return self._session.over

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._session.start()

    async def open(self) -> None:
        """Connect and list the tools, within `connect_s`. Raises `ToolError`."""
        self.start()
        try:
            async with asyncio.timeout(self.spec.connect_s):
                await self._ready()
        except TimeoutError:
            raise self._failed("can't be reached right now") from None

    def retire(self) -> None:
        """Its tools are no longer offered: it closes by itself. Returns at once."""
        self._session.retire()

    async def aclose(self) -> None:
        """Leave, within a bounded time whatever the server does."""
        await self._session.aclose()

    async def call(self, tool: str, args: Json) -> CallToolResult:
        """Run a tool, within `timeout_s`. Raises `ToolError`; cancelling stops the server too."""
        way = Delivery()
        try:
            async with asyncio.timeout(self.spec.timeout_s), self._calls:
                result = await self._send(tool, args, way)
                if result is None and way.refused:
                    way = Delivery()
                    result = await self._send(tool, args, way)
        except TimeoutError:
            self._unanswered()
            raise self._failed(f"gave no answer within {self.spec.timeout_s:g} seconds") from None
        if result is None and way.refused:
            raise self._failed("can't be reached right now")
        if result is None:
            raise self._failed("broke the connection off while the tool was running")
        self._strikes = 0
        return result

    async def _send(self, tool: str, args: Json, way: Delivery) -> CallToolResult | None:
        """The result, or `None` if the connection broke."""
        client = await self._ready()
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(args)))
        mark = delivery.set(way)
        try:
            with self._session.busy():
                # Not by `call_tool`, which would run the output schema on the event loop.
                return await client.session.send_request(request, CallToolResult)
        except MCPError as error:
            if way.refused or error.code == CONNECTION_CLOSED:
                self._session.lost(client)
                return None
            if error.code == INVALID_PARAMS:
                words = cut_text(error.message, MAX_ERROR)
                raise self._failed("did not take these arguments", words) from error
            raise self._failed(f"reported an error ({error.code})") from error
        except Exception as error:
            # Whatever a stranger's answer does to the library is no failure of ours. Its words
            # stay out of the log: they may hold what somebody said.
            log.warning("MCP server answers oddly: server=%s (%s)",
                        self.spec.name, type(error).__name__)  # fmt: skip
            raise self._failed("gave an answer that is not understood") from error
        finally:
            delivery.reset(mark)

    async def _ready(self) -> Client:
        if (client := await self._session.ready()) is None:
            raise self._failed("can't be reached right now")
        return client

    def _unanswered(self) -> None:
        self._strikes += 1
        client = self._session.client
        if self._strikes >= STRIKES and not self._session.running and client is not None:
            self._strikes = 0
            self._session.lost(client)

    def _failed(self, problem: str, words: str = "") -> ToolError:
        name = self.spec.name
        return ToolError(f"mcp.{name}", f"The tool server {name} {problem}.", words)
