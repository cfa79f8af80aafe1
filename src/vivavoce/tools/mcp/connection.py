"""Connection to one MCP server: reconnect, list its tools, call them.

The `mcp` package opens task groups, which must be left by the task that entered them. So one task
of the connection owns each session with the server from beginning to end. Calls don't pass through
this task: their callers make them, so that they run side by side and each can be cancelled by
itself, upon which the server is told. A call is sent twice only if the server certainly did not
take it the first time.

The state is one `McpConnectionState`; each change wakes the task, which acts on it. A `lasting`
connection that is down is tried again after a pause that doubles; any other when the next call
needs it. A connection whose tools are no longer offered is retired: a generation that began
earlier may still call them, so it stays a while, and then until its last call is done.

Closing is bounded twice: a server is asked to stop, and what does not end is cancelled. Both
together take less than a conversation gives its parts for closing (2 s), and for a program less
than the server gives its engines (5 s).

What a server says of a failure may repeat what was said: it reaches the model and not the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from enum import Enum

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
from vivavoce.domain.content import Json, ServerTool, ToolDeclaration, ToolKind, ToolOutcome
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import EngineBusy, ToolError
from vivavoce.tools.mcp.conversion import (
    MAX_ERROR,
    RemoteTool,
    cut_text,
    is_work,
    list_tools,
    outcome_of,
)
from vivavoce.tools.mcp.settings import McpServerSpec
from vivavoce.tools.mcp.transport import MAX_CALLS, Delivery, delivery, tls, transport

log = logging.getLogger(__name__)

FIRST_RETRY_DELAY_S = 1.0
MAX_RETRY_DELAY_S = 60.0
"""Pauses between two attempts to connect; doubled after each."""
MAX_UNANSWERED_CALLS = 2
"""Unanswered calls in a row after which the session counts as dead."""
RETIREMENT_S = 10.0
"""Time for which generations that began before the tools were removed may still call them."""
CLOSE_S = 1.0
CLOSE_PROGRAM_S = 4.0
"""A program is asked to end, then killed: at most three seconds (`transport`)."""
CANCEL_S = 0.5
"""Time for the task to end after it was cancelled."""
RELIST_S = 0.2
"""Changes of the tool list within this time are read once."""


class McpTool:
    """A tool of an MCP server. The model knows it as `name`, which may differ from the server's."""

    def __init__(self, name: str, remote: RemoteTool, connection: McpConnection) -> None:
        declaration = ToolDeclaration(name, remote.description, remote.parameters)
        self.spec = ServerTool(declaration, ToolKind.MCP)
        self._remote = remote
        self._connection = connection

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Run it once. Raises `ToolError`, also where the server can't be reached."""
        result = await self._connection.call_tool(self._remote.name, args)
        if not is_work(result):
            return outcome_of(result)
        try:
            return await self._connection.workers.run(lambda token: outcome_of(result))
        except EngineBusy:
            raise ToolError("mcp", "Too many answers of tool servers are being read.") from None


class McpConnectionState(Enum):
    """The state of a connection."""

    DOWN = "there is no session; one is made when it is needed, or after a pause"
    CONNECTING = "a session is being made"
    UP = "calls can be made"
    BROKEN = "the session is lost and is being closed"
    RETIRING = "earlier generations can make calls; it ends after the last"
    CLOSING = "the session, if there is one, is being closed, and no other follows"


class McpConnection:
    """One MCP server, from `start` or `open` to `aclose`."""

    def __init__(self, spec: McpServerSpec, workers: WorkerPool, lasting: bool = False) -> None:
        self.spec = spec
        self.workers = workers
        self.state = McpConnectionState.DOWN
        self._lasting = lasting
        self._tool_list = ToolList(spec)
        # The session, as long as calls can be made.
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        # Set at each change that may concern the task.
        self._wake = asyncio.Event()
        # Set when the attempt to connect that callers wait for is over.
        self._attempted: asyncio.Event | None = None
        # Why there is no session, as the log last had it.
        self._problem = ""
        self._calls = asyncio.Semaphore(MAX_CALLS)
        self._running = 0
        self._unanswered = 0

    @property
    def tools(self) -> tuple[RemoteTool, ...]:
        """The tools that the server listed in its latest session."""
        return self._tool_list.tools

    @property
    def up(self) -> bool:
        """Return whether the server is connected and its tools may be offered."""
        return self.state is McpConnectionState.UP

    @property
    def over(self) -> bool:
        """Return whether the connection's task has ended, or never started."""
        return self._task is None or self._task.done()

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        name = f"mcp {self.spec.name}"
        self.state = McpConnectionState.CONNECTING
        self._task = asyncio.get_running_loop().create_task(self._maintain_session(), name=name)

    async def open(self) -> None:
        """Connect and list the tools, within `connect_s`. Raises `ToolError`."""
        self.start()
        try:
            async with asyncio.timeout(self.spec.connect_s):
                await self._ready_client()
        except TimeoutError:
            raise self._error("can't be reached right now") from None

    def retire(self) -> None:
        """Stop offering its tools; it closes by itself later. Returns at once."""
        if self.up:
            self._enter(McpConnectionState.RETIRING)
        else:
            self._begin_closing()

    async def aclose(self) -> None:
        """Close, within a bounded time whatever the server does."""
        self._begin_closing()
        if (task := self._task) is None:
            return
        try:
            await asyncio.wait({task}, timeout=CLOSE_PROGRAM_S if self.spec.command else CLOSE_S)
            if not task.done():
                log.warning("MCP server does not close", extra={"server": self.spec.name})
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_S)
        finally:
            # Also where the caller of `aclose` is cancelled.
            task.cancel()
            self._end_attempt()

    # --- calls -----------------------------------------------------------------------------------

    async def call_tool(self, tool: str, args: Json) -> CallToolResult:
        """Run a tool, within `timeout_s`. Raises `ToolError`; cancelling stops the server too."""
        sent = Delivery()
        try:
            async with asyncio.timeout(self.spec.timeout_s), self._calls:
                result = await self._send_call(tool, args, sent)
                if result is None and sent.refused:
                    sent = Delivery()
                    result = await self._send_call(tool, args, sent)
        except TimeoutError:
            self._count_unanswered()
            raise self._error(f"gave no answer within {self.spec.timeout_s:g} seconds") from None
        if result is None and sent.refused:
            raise self._error("can't be reached right now")
        if result is None:
            raise self._error("broke the connection off while the tool was running")
        self._unanswered = 0
        return result

    async def _send_call(self, tool: str, args: Json, sent: Delivery) -> CallToolResult | None:
        """Return the result, or `None` if the session was lost."""
        client = await self._ready_client()
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(args)))
        mark = delivery.set(sent)
        try:
            with self._count_running():
                # Not by `call_tool`, which would run the output schema on the event loop.
                return await client.session.send_request(request, CallToolResult)
        except MCPError as error:
            if sent.refused or error.code == CONNECTION_CLOSED:
                self._lose_session(client)
                return None
            if error.code == INVALID_PARAMS:
                words = cut_text(error.message, MAX_ERROR)
                raise self._error("did not take these arguments", words) from error
            raise self._error(f"reported an error ({error.code})") from error
        except Exception as error:
            # The library may fail on an invalid answer. The words stay out of the log: they may
            # hold what was said.
            facts = {"server": self.spec.name, "problem": type(error).__name__}
            log.warning("MCP answer is not understood", extra=facts)
            raise self._error("gave an answer that is not understood") from error
        finally:
            delivery.reset(mark)

    async def _ready_client(self) -> Client:
        """Return the session; it is opened if there is none. Raises `ToolError`."""
        closing = self.over or self.state is McpConnectionState.CLOSING
        if self._client is None and not closing:
            self._attempted = self._attempted or asyncio.Event()
            self._wake.set()
            await self._attempted.wait()
        if self._client is None:
            raise self._error("can't be reached right now")
        return self._client

    @contextmanager
    def _count_running(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._wake.set()

    def _count_unanswered(self) -> None:
        self._unanswered += 1
        if (
            self._unanswered >= MAX_UNANSWERED_CALLS
            and not self._running
            and self._client is not None
        ):
            self._unanswered = 0
            self._lose_session(self._client)

    def _error(self, problem: str, words: str = "") -> ToolError:
        name = self.spec.name
        return ToolError(f"mcp.{name}", f"The tool server {name} {problem}.", words)

    # --- changes of the state --------------------------------------------------------------------

    def _enter(self, state: McpConnectionState) -> None:
        self.state = state
        self._wake.set()

    def _begin_closing(self) -> None:
        if self.state is McpConnectionState.CONNECTING and self._task is not None:
            # No session has to be ended. An open one ends by itself: a program whose stopping is
            # cancelled would be left running.
            self._task.cancel()
        self._enter(McpConnectionState.CLOSING)

    def _lose_session(self, client: Client | None = None) -> None:
        """Note that the session `client`, or else the current one, is lost."""
        if client is not None and client is not self._client:
            return
        self._client = None
        if self.state in (McpConnectionState.CONNECTING, McpConnectionState.UP):
            self._enter(McpConnectionState.BROKEN)
        elif self.state is McpConnectionState.RETIRING:
            self._enter(McpConnectionState.CLOSING)

    def _end_attempt(self) -> None:
        if self._attempted is not None:
            self._attempted.set()
            self._attempted = None

    # --- the task --------------------------------------------------------------------------------

    async def _maintain_session(self) -> None:
        pause = FIRST_RETRY_DELAY_S
        try:
            while self.state is not McpConnectionState.CLOSING:
                if await self._run_session():
                    pause = FIRST_RETRY_DELAY_S
                else:
                    self._end_attempt()
                    pause = min(2 * pause, MAX_RETRY_DELAY_S)
                await self._wait_while(
                    lambda: self.state is McpConnectionState.DOWN and self._attempted is None,
                    pause if self._lasting else None,
                )
        finally:
            self.state = McpConnectionState.CLOSING
            self._end_attempt()

    async def _wait_while(self, holds: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Wait while `holds` is true; it is evaluated again at every change of state."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while holds():
                    self._wake.clear()
                    await self._wake.wait()

    async def _run_session(self) -> bool:
        """Run one session from beginning to end; return whether it was established."""
        came_up = False
        self.state = McpConnectionState.CONNECTING
        try:
            async with AsyncExitStack() as stack:
                client = await self._connect(stack)
                came_up = True
                self._client = client
                self.state = McpConnectionState.UP
                self._problem = ""
                self._end_attempt()
                log.info(
                    "MCP server is up", extra={"server": self.spec.name, "tools": len(self.tools)}
                )
                async with anyio.create_task_group() as group:
                    group.start_soon(self._tool_list.follow_changes, client)
                    await self._wait_for_session_end()
                    group.cancel_scope.cancel()
        except Exception as error:
            self._log_failure(error)
        finally:
            self._client = None
            over = self.state in (McpConnectionState.RETIRING, McpConnectionState.CLOSING)
            self.state = McpConnectionState.CLOSING if over else McpConnectionState.DOWN
        return came_up

    async def _connect(self, stack: AsyncExitStack) -> Client:
        """Return a client of the server, whose tools are listed. Raises any kind of error."""
        async with asyncio.timeout(self.spec.connect_s):
            if not self.spec.command:
                await self.workers.run(lambda token: tls())
            client = Client(
                transport(self.spec, self._lose_session),
                client_info=Implementation(name="vivavoce", version=__version__),
                message_handler=self._tool_list.handle_notification,
                cache=None,
            )
            await stack.enter_async_context(client)
            await self._tool_list.read_tools(client)
        if self.state is not McpConnectionState.CONNECTING:
            raise ConnectionError("The connection ended as soon as it was made.")
        return client

    async def _wait_for_session_end(self) -> None:
        await self._wait_while(lambda: self.up)
        await self._wait_while(lambda: self.state is McpConnectionState.RETIRING, RETIREMENT_S)
        await self._wait_while(
            lambda: self.state is McpConnectionState.RETIRING and self._running > 0,
            self.spec.timeout_s,
        )

    def _log_failure(self, error: Exception) -> None:
        """Log why there is no session; the same reason again only for debugging."""
        problems = {self.spec.masked(f"{type(each).__name__} {each}") for each in _leaves(error)}
        problem = "; ".join(cut_text(each, 200) for each in sorted(problems))
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        log.log(level, "MCP server is down", extra={"server": self.spec.name, "problem": problem})


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


class ToolList:
    """The tools of one server, read again whenever they change.

    Older servers notify of a change unasked, newer ones only those who listen. Either way, it is
    only a hint to read the list again. `tools` outlive the session they were read in.
    """

    def __init__(self, spec: McpServerSpec) -> None:
        self.tools: tuple[RemoteTool, ...] = ()
        self._spec = spec
        self._stale = asyncio.Event()

    async def read_tools(self, client: Client) -> None:
        """Request the list. Raises any error of the session."""
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
                log.info(
                    "MCP tools have changed",
                    extra={"server": self._spec.name, "tools": len(self.tools)},
                )

    async def handle_notification(self, message: IncomingMessage) -> None:
        """Handle what the server sends unasked."""
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()

    async def _listen(self, client: Client) -> None:
        offered = client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        name, pause = self._spec.name, FIRST_RETRY_DELAY_S
        while True:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    self._stale.set()  # it may have changed between the listing and this moment
                    async for _ in changes:
                        self._stale.set()
                        pause = FIRST_RETRY_DELAY_S
            except (ListenNotSupportedError, MCPError, TimeoutError) as error:
                facts = {"server": name, "problem": type(error).__name__}
                log.debug("MCP server reports no changes", extra=facts)
                return
            except SubscriptionLost:
                log.debug("MCP server stopped reporting changes", extra={"server": name})
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_DELAY_S)
