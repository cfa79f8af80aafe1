"""A connection to one MCP server: opened, tended, opened again, closed.

The `mcp` package opens task groups, which must be left by the task that entered them. So one
task of its own, the keeper, owns a connection from its beginning to its end; it belongs to this
object, and `aclose` waits for it. Calls don't pass through the keeper: they are made by whoever
wants them, so that they run side by side and each can be cancelled by itself, upon which the
server is told.

The keeper connects, lists the tools, and then waits until something is to be done: the list has
changed, the connection is broken, or it is time to leave. A `lasting` connection that is down is
tried again by itself, after a pause that doubles; any other when the next call wants it. A call
is sent twice only where it is certain that the server never took it the first time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack

import anyio
from mcp import Client
from mcp.client import IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    ToolListChangedNotification,
)

from vivavoce import __version__
from vivavoce.domain.content import Json
from vivavoce.engines.lanes import Lane
from vivavoce.errors import ToolError
from vivavoce.tools.mcp.listing import RemoteTool, list_tools
from vivavoce.tools.mcp.results import MAX_ERROR, cut
from vivavoce.tools.mcp.settings import McpServerSpec
from vivavoce.tools.mcp.transport import MAX_CALLS, Delivery, delivery, tls, transport

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
RELIST_S = 0.2
"""Changes of the list that come closer together than this are one."""
STRIKES = 2
"""Calls in a row without an answer, after which the connection itself is held for dead."""
CLOSE_S = 2.0
CLOSE_PROGRAM_S = 8.0
"""The `mcp` package asks a program to leave, then makes it: seven seconds at the longest."""


class McpConnection:
    """One server, as long as anybody may want it."""

    def __init__(self, spec: McpServerSpec, lane: Lane, lasting: bool = False) -> None:
        self.spec = spec
        self.tools: tuple[RemoteTool, ...] = ()
        self._lane = lane
        self._lasting = lasting
        self._client: Client | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._running = self._strikes = 0
        # What the keeper looks at whenever it is woken.
        self._wake = asyncio.Event()
        self._leaving = self._broken = self._stale = self._wanted = False
        self._connecting = False
        self._tried = asyncio.Event()
        self._problem = ""

    @property
    def up(self) -> bool:
        """Whether the server is there, as far as is known."""
        return self._client is not None

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        name = f"mcp {self.spec.name}"
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=name)

    async def open(self) -> None:
        """Connect and list the tools, within `connect_s`. Raises `ToolError`."""
        self.start()
        try:
            async with asyncio.timeout(self.spec.connect_s):
                await self._ready()
        except TimeoutError:
            raise self._failed("can't be reached right now") from None

    async def aclose(self) -> None:
        """Leave, within a bounded time whatever the server does."""
        self._leaving = True
        self._wake.set()
        if (keeper := self._keeper) is None:
            return
        if self._connecting:
            # It has nothing to say goodbye to. Otherwise it is let finish by itself: a program
            # that is being stopped would be left running.
            keeper.cancel()
        await asyncio.wait({keeper}, timeout=CLOSE_PROGRAM_S if self.spec.command else CLOSE_S)
        if not keeper.done():
            keeper.cancel()
            await asyncio.wait({keeper}, timeout=CLOSE_S)
            log.warning("MCP server does not let go: server=%s", self.spec.name)

    # --- calls -----------------------------------------------------------------------------------

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
        self._running += 1
        try:
            # Not by `call_tool`, which would run the server's output schema on the event loop.
            return await client.session.send_request(request, CallToolResult)
        except MCPError as error:
            if way.refused or error.code == CONNECTION_CLOSED:
                self._break(client)
                return None
            raise self._failed(_reason(error)) from error
        except Exception as error:
            # Whatever a stranger's answer does to the library is no failure of ours. Its words
            # stay out of the log: they may hold what somebody said.
            log.warning("MCP server answers oddly: server=%s (%s)",
                        self.spec.name, type(error).__name__)  # fmt: skip
            raise self._failed("gave an answer that is not understood") from error
        finally:
            self._running -= 1
            delivery.reset(mark)

    async def _ready(self) -> Client:
        """The session, which is opened for this if there is none now. Raises `ToolError`."""
        if self._client is None and self._keeper is not None and not self._leaving:
            self._tried.clear()
            self._wanted = True
            self._wake.set()
            await self._tried.wait()
        if self._client is None:
            raise self._failed("can't be reached right now")
        return self._client

    def _unanswered(self) -> None:
        self._strikes += 1
        if self._strikes >= STRIKES and not self._running and self._client is not None:
            self._break(self._client)

    def _break(self, client: Client) -> None:
        if client is self._client:
            self._client = None
            self._broken = True
            self._wake.set()

    def _failed(self, problem: str) -> ToolError:
        name = self.spec.name
        return ToolError(f"mcp.{name}", f"The tool server {name} {problem}.")

    # --- the keeper ------------------------------------------------------------------------------

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        try:
            while not self._leaving:
                if await self._session():
                    pause = FIRST_PAUSE_S
                else:
                    # Whoever waited for this attempt has the answer; nobody waits for the next.
                    self._wanted = False
                    self._tried.set()
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                await self._rest(pause if self._lasting else None)
        finally:
            self._leaving = True
            self._tried.set()

    async def _rest(self, pause_s: float | None) -> None:
        """Until somebody wants the connection, the pause is over, or it is time to leave."""
        try:
            async with asyncio.timeout(pause_s):
                while not (self._leaving or self._wanted):
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            pass

    async def _session(self) -> bool:
        """One session from beginning to end; whether it came about at all."""
        came_up = False
        self._broken = self._stale = self._wanted = False
        try:
            async with AsyncExitStack() as stack:
                client = await self._connect(stack)
                came_up = True
                self._client = client
                self._strikes = 0
                self._problem = ""
                self._wanted = False
                self._tried.set()
                log.info("MCP server is up: server=%s tools=%d", self.spec.name, len(self.tools))
                async with anyio.create_task_group() as group:
                    group.start_soon(self._listen, client)
                    await self._tend(client)
                    group.cancel_scope.cancel()
        except Exception as error:
            self._complain(error)
        finally:
            self._client = None
            self._connecting = False
        return came_up

    async def _connect(self, stack: AsyncExitStack) -> Client:
        """A client of the server, whose tools are listed. Raises whatever the way there does."""

        def ended() -> None:
            self._broken = True
            self._wake.set()

        self._connecting = True
        async with asyncio.timeout(self.spec.connect_s):
            if not self.spec.command:
                await self._lane.run(lambda token: tls())
            client = Client(
                transport(self.spec, ended),
                client_info=Implementation(name="vivavoce", version=__version__),
                message_handler=self._heard,
                cache=None,
            )
            await stack.enter_async_context(client)
            self.tools = await list_tools(client, self.spec, self._lane)
        self._connecting = False
        return client

    async def _tend(self, client: Client) -> None:
        while not (self._leaving or self._broken):
            self._wake.clear()
            if self._stale:
                self._stale = False
                async with asyncio.timeout(self.spec.connect_s):
                    self.tools = await list_tools(client, self.spec, self._lane)
                log.info("MCP tools have changed: server=%s tools=%d",
                         self.spec.name, len(self.tools))  # fmt: skip
            else:
                await self._wake.wait()

    async def _listen(self, client: Client) -> None:
        """Newer servers tell of changes only to those who ask to be told."""
        offered = client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    self._changed()  # it may have, between the listing and this moment
                    async for _ in changes:
                        self._changed()
                        pause = FIRST_PAUSE_S
            except (ListenNotSupportedError, MCPError, TimeoutError) as error:
                log.debug("MCP server tells of no changes: server=%s (%s)", self.spec.name, error)
                return
            except SubscriptionLost:
                log.debug("MCP server stopped telling of changes: server=%s", self.spec.name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._changed()

    def _changed(self) -> None:
        if not self._stale:
            self._stale = True
            asyncio.get_running_loop().call_later(RELIST_S, self._wake.set)

    def _complain(self, error: Exception) -> None:
        """Say why there is no connection; the same reason again and again only once."""
        problem = "; ".join(sorted({cut(f"{type(e).__name__} {e}", 200) for e in _leaves(error)}))
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        log.log(level, "MCP server is down: server=%s (%s)", self.spec.name, problem)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _reason(error: MCPError) -> str:
    """What the model may know: the server's words where they are about the model's own."""
    if error.code == INVALID_PARAMS:
        return f"did not take these arguments: {cut(error.message, MAX_ERROR)}"
    return f"reported an error ({error.code})"
