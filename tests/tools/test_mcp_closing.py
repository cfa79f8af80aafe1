"""The end of a connection, whatever the server does: within the time that its owner has."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from tools.mcp_servers import serving, until
from tools.test_mcp_faults import said, scripted
from vivavoce.engines.workers import WorkerPool
from vivavoce.profiles import ENGINE_CLOSE_S
from vivavoce.runtime.connection import RELEASE_S
from vivavoce.tools.mcp.connection import McpConnection
from vivavoce.tools.mcp.settings import McpServerSpec

DEAF = """
import os, signal, sys
from mcp.server.mcpserver import MCPServer
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = MCPServer("deaf", log_level="CRITICAL")
server.add_tool(os.getpid, name="pid")
server.run("stdio")
signal.pause()
"""

Stop = Callable[[McpConnection], Awaitable[None]]


async def wait_for_it(held: McpConnection) -> None:
    async with asyncio.timeout(RELEASE_S):
        await held.aclose()


async def lose_patience(held: McpConnection) -> None:
    closing = asyncio.create_task(held.aclose())
    await asyncio.wait({closing}, timeout=0.1)
    closing.cancel()
    await asyncio.wait({closing})


@pytest.mark.parametrize("stop", [wait_for_it, lose_patience])
async def test_a_server_that_is_silent_at_the_farewell_is_left_behind(stop: Stop) -> None:
    inner = scripted(plain=said("Hello."))
    farewells = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "DELETE":
            farewells.append(scope["path"])
            await asyncio.sleep(30)
        else:
            await inner(scope, receive, with_session(send))

    async with serving(server) as origin:
        workers = WorkerPool("mcp")
        held = McpConnection(McpServerSpec("odd", f"{origin}/mcp", connect_s=20.0), workers)
        await held.open()
        await stop(held)
        await until(lambda: held.over, within_s=1.0)
        assert farewells == ["/mcp"]
        workers.close()


def with_session(send: Send) -> Send:
    """Answers that carry the identifier of a session, which a client then says goodbye to."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"mcp-session-id", b"s")]
            message = {**message, "headers": headers}
        await send(message)

    return sent


async def test_a_program_that_is_deaf_to_signals_is_killed_in_time(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(DEAF)
    workers = WorkerPool("mcp")
    command = (sys.executable, str(script))
    held = McpConnection(McpServerSpec("deaf", command=command, connect_s=30.0), workers)
    await held.open()
    result = await held.call_tool("pid", {})
    pid = int(getattr(result.content[0], "text", ""))
    async with asyncio.timeout(ENGINE_CLOSE_S):
        await held.aclose()
    assert held.over
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    workers.close()
