"""The session with one MCP server: opened, tended, opened again, closed.

The `mcp` package opens task groups, which must be left by the task that entered them. So one
task of its own owns a session from its beginning to its end; it belongs to `McpSession`, whose
`aclose` waits for it. Calls don't pass through this task: the caller makes them, so
that they run side by side and each can be cancelled by itself.

Where a connection stands is one `McpSessionState`; each change wakes the task, which acts
upon it. A `lasting` connection that is down is tried again by itself, after a pause that doubles;
any other when the next call wants it.

A connection whose tools are no longer offered is retired: a generation that began earlier may
still call them, so it stays a while, and then until its last call is done.

Closing is bounded twice: a server is asked to let go, and what does not come to an end is
cancelled. Both together take less than a conversation gives its parts to let go (2 s), and for a
program less than the server gives its engines (5 s).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from enum import Enum

import anyio
from mcp import Client
from mcp_types import Implementation

from vivavoce import __version__
from vivavoce.engines.workers import WorkerPool
from vivavoce.tools.mcp.listing import RemoteTool
from vivavoce.tools.mcp.results import cut_text
from vivavoce.tools.mcp.settings import McpServerSpec
from vivavoce.tools.mcp.tool_list import ToolList
from vivavoce.tools.mcp.transport import tls, transport

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LINGER_S = 10.0
"""How long a generation that began before the tools were taken away may still call them."""
CLOSE_S = 1.0
CLOSE_PROGRAM_S = 4.0
"""A program is asked to leave, then made to: three seconds at the longest (`transport`)."""
CANCEL_S = 0.5
"""What the task gets to end in that did not by itself."""


class McpSessionState(Enum):
    """Where a connection stands."""

    DOWN = "there is no session; one is made when it is wanted, or after a pause"
    CONNECTING = "a session is being made"
    UP = "calls can be made"
    BROKEN = "the session is lost and is being taken down"
    RETIRING = "calls can be made by those who know of it; it ends after the last"
    CLOSING = "the session, if there is one, is being taken down, and no other follows"


class McpSession:
    """One server, until it is closed. `state` and `client` are its own to change."""

    def __init__(self, spec: McpServerSpec, workers: WorkerPool, lasting: bool = False) -> None:
        self.spec = spec
        self.state = McpSessionState.DOWN
        self.client: Client | None = None
        """The session, as long as calls can be made."""
        self._tool_list = ToolList(spec)
        self._workers = workers
        self._lasting = lasting
        self._task: asyncio.Task[None] | None = None
        self._running = 0
        self._wake = asyncio.Event()
        self._asked: asyncio.Event | None = None
        """Set when the attempt that a caller waits for is over."""
        self._problem = ""

    @property
    def tools(self) -> tuple[RemoteTool, ...]:
        """What the server listed when it was last there."""
        return self._tool_list.tools

    @property
    def over(self) -> bool:
        """Whether nothing of the connection is left, or there never was any."""
        return self._task is None or self._task.done()

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return self._running

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        name = f"mcp {self.spec.name}"
        self.state = McpSessionState.CONNECTING
        self._task = asyncio.get_running_loop().create_task(self._maintain_session(), name=name)

    async def ready(self) -> Client | None:
        """The session, which is opened for this if there is none now; `None` if that fails."""
        if self.client is None and not self.over and self.state is not McpSessionState.CLOSING:
            self._asked = self._asked or asyncio.Event()
            self._wake.set()
            await self._asked.wait()
        return self.client

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A call is under way."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._wake.set()

    def lost(self, client: Client) -> None:
        """This session has turned out to be of no use any more."""
        if client is self.client:
            self._lost()

    def retire(self) -> None:
        """Its tools are no longer offered: it closes by itself. Returns at once."""
        if self.state is McpSessionState.UP:
            self._enter(McpSessionState.RETIRING)
        else:
            self._close_session()

    async def aclose(self) -> None:
        """Leave, within a bounded time whatever the server does."""
        self._close_session()
        if (task := self._task) is None:
            return
        try:
            await asyncio.wait({task}, timeout=CLOSE_PROGRAM_S if self.spec.command else CLOSE_S)
            if not task.done():
                log.warning("MCP server does not let go: server=%s", self.spec.name)
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_S)
        finally:
            # Also where the caller of `aclose` is cancelled.
            task.cancel()
            self._answer()

    def _close_session(self) -> None:
        if self.state is McpSessionState.CONNECTING and self._task is not None:
            # It has nothing to say goodbye to. Otherwise it is let finish by itself: a program
            # that is being stopped would be left running.
            self._task.cancel()
        self._enter(McpSessionState.CLOSING)

    def _enter(self, state: McpSessionState) -> None:
        self.state = state
        self._wake.set()

    def _lost(self) -> None:
        self.client = None
        if self.state in (McpSessionState.CONNECTING, McpSessionState.UP):
            self._enter(McpSessionState.BROKEN)
        elif self.state is McpSessionState.RETIRING:
            self._enter(McpSessionState.CLOSING)

    # --- the task --------------------------------------------------------------------------------

    async def _maintain_session(self) -> None:
        pause = FIRST_PAUSE_S
        try:
            while self.state is not McpSessionState.CLOSING:
                if await self._session():
                    pause = FIRST_PAUSE_S
                else:
                    # The waiters of this attempt have their answer; the next has none.
                    self._answer()
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                await self._while(
                    lambda: self.state is McpSessionState.DOWN and self._asked is None,
                    pause if self._lasting else None,
                )
        finally:
            self.state = McpSessionState.CLOSING
            self._answer()

    async def _while(self, holds: Callable[[], bool], within_s: float | None = None) -> None:
        """Wait as long as something holds, which is looked at again at every waking."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while holds():
                    self._wake.clear()
                    await self._wake.wait()

    def _answer(self) -> None:
        if self._asked is not None:
            self._asked.set()
            self._asked = None

    async def _session(self) -> bool:
        """One session from beginning to end; whether it came about at all."""
        came_up = False
        self.state = McpSessionState.CONNECTING
        try:
            async with AsyncExitStack() as stack:
                client = await self._connect(stack)
                came_up = True
                self.client = client
                self.state = McpSessionState.UP
                self._problem = ""
                self._answer()
                log.info("MCP server is up: server=%s tools=%d", self.spec.name, len(self.tools))
                async with anyio.create_task_group() as group:
                    group.start_soon(self._tool_list.follow_changes, client)
                    await self._serve_session()
                    group.cancel_scope.cancel()
        except Exception as error:
            self._log_failure(error)
        finally:
            self.client = None
            over = self.state in (McpSessionState.RETIRING, McpSessionState.CLOSING)
            self.state = McpSessionState.CLOSING if over else McpSessionState.DOWN
        return came_up

    async def _connect(self, stack: AsyncExitStack) -> Client:
        """A client of the server, whose tools are listed. Raises whatever the way there does."""
        async with asyncio.timeout(self.spec.connect_s):
            if not self.spec.command:
                await self._workers.run(lambda token: tls())
            client = Client(
                transport(self.spec, self._lost),
                client_info=Implementation(name="vivavoce", version=__version__),
                message_handler=self._tool_list.handle_notification,
                cache=None,
            )
            await stack.enter_async_context(client)
            await self._tool_list.read_tools(client)
        if self.state is not McpSessionState.CONNECTING:
            raise ConnectionError("The connection ended as soon as it was made.")
        return client

    async def _serve_session(self) -> None:
        """As long as the session is wanted, and works."""
        await self._while(lambda: self.state is McpSessionState.UP)
        await self._while(lambda: self.state is McpSessionState.RETIRING, LINGER_S)
        await self._while(
            lambda: self.state is McpSessionState.RETIRING and self._running > 0,
            self.spec.timeout_s,
        )

    def _log_failure(self, error: Exception) -> None:
        """Say why there is no connection; the same reason again and again only once."""
        problems = {self.spec.masked(f"{type(each).__name__} {each}") for each in _leaves(error)}
        problem = "; ".join(cut_text(each, 200) for each in sorted(problems))
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        log.log(level, "MCP server is down: server=%s (%s)", self.spec.name, problem)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
