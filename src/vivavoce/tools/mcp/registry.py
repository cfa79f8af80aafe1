"""Registries of MCP servers: of the whole process, and of one conversation.

Configured servers are connected to in the background, from the start of the server to its end;
one that is down is tried again, and its tools appear when it is up. Servers that a client brings
are connected to for one conversation and closed with it."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vivavoce.domain.content import Json
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ToolError
from vivavoce.install_hints import missing_library
from vivavoce.tools.mcp.settings import McpServerSpec, McpSettings, read_request

if TYPE_CHECKING:
    from vivavoce.tools.mcp.connection import McpConnection, McpTool

log = logging.getLogger(__name__)

MAX_RETIRED = 8
MAX_NAME = 128
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.:-]")


class McpRegistry:
    """The MCP servers of the whole process."""

    def __init__(self, settings: McpSettings) -> None:
        self._settings = settings
        self._workers = WorkerPool("mcp")
        self._connections: dict[str, McpConnection] = {}

    async def start(self) -> None:
        """Begin to connect to the configured servers, without waiting for them.

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
        """Return the tools for every conversation, of the configured servers that are up now.

        Their names are distinct, and none is among `taken`.
        """
        always = [each for each in self._connections.values() if not each.spec.on_request]
        return tools_of(always, taken)

    def open(self) -> McpClientTools:
        """Return the MCP servers of one conversation, before any is requested."""
        return McpClientTools(self._settings, self._connections, self._workers)


class McpClientTools:
    """The MCP servers of one conversation: its client's, and configured ones that it names.

    Every update names them anew. A server that is named again with the same settings keeps its
    connection; one that is not named any more is retired (`McpConnection.retire`). There may be at
    most `MAX_RETIRED` such connections, beyond which the oldest is closed whatever runs on it.
    """

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
        """Replace the servers: `options` are those of the client's `BuiltinTool`s.

        Servers of its own are connected to, all at once, each within its `connect_s`; one that
        can't be reached is logged and left out. Raises `ClientFault` for what is refused.
        """
        requested = read_request(options, self._settings)
        kept = [each for each in self._own if each.up and each.spec in requested.specs]
        known = [each.spec for each in kept]
        fresh = [connection(spec, self._workers) for spec in requested.specs if spec not in known]
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
            if (each := self._configured.get(name)) is not None and each.spec.on_request
        ]
        for each in self._asked:
            if not each.up:
                log.warning(
                    "MCP server that a client asks for is down", extra={"server": each.spec.name}
                )
        await self._retire(gone)

    def tools(self, taken: Collection[str] = ()) -> tuple[McpTool, ...]:
        """Return the tools of its servers that are up now; no name is among `taken`."""
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
    """Create a connection. The first call imports the `mcp` package."""
    from vivavoce.tools.mcp.connection import McpConnection

    return McpConnection(spec, workers, lasting)


async def close(connections: Iterable[McpConnection]) -> None:
    """Close connections concurrently."""
    await asyncio.gather(*(each.aclose() for each in connections))


def tools_of(connections: Sequence[McpConnection], taken: Collection[str]) -> tuple[McpTool, ...]:
    """Return the tools of those that are up, by distinct names that are not among `taken`."""
    from vivavoce.tools.mcp.connection import McpTool

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
        facts = {"server": connection.spec.name, "problem": error.problem}
        log.warning("MCP server of a client is left out", extra=facts)


# --- names of tools ------------------------------------------------------------------------------


def fit_name(name: str) -> str:
    """Replace characters that a function's name may not have."""
    plain = _FORBIDDEN.sub("_", name)
    if not re.match("[A-Za-z_]", plain):
        plain = f"_{plain}"
    return plain[:MAX_NAME]


def distinct_names(tools: Sequence[tuple[str, str]], taken: Collection[str] = ()) -> list[str]:
    """Return a name for each pair of a server's and a tool's name, none among `taken`.

    A tool keeps its own name wherever it can, for a model calls `read_shopping_list` better than a
    longer one. Where two servers offer the same name, or it is taken, the server's name goes
    before it: `kitchen__read_shopping_list`.
    """
    fitted = [(server, fit_name(name)) for server, name in tools]
    offered = Counter(name for _, name in set(fitted))
    given = set(taken)
    names = []
    for server, plain in fitted:
        clash = offered[plain] > 1 or plain in given
        name = fit_name(f"{server}__{plain}") if clash else plain
        names.append(free_name(name, given))
        given.add(names[-1])
    return names


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number after it if it is among `taken`."""
    tails = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
    names = (name[: MAX_NAME - len(tail)] + tail for tail in tails)
    return next(each for each in names if each not in taken)
