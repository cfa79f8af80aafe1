"""The hub with real MCP servers: over streamable HTTP on loopback, and over pipes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Context, MCPServer

from tools.mcp_servers import EXAMPLE, free_port, program, serving_mcp, until
from vivavoce.domain.content import Json, ToolKind
from vivavoce.domain.evidence import Outcome
from vivavoce.errors import ClientFault, ToolError
from vivavoce.tools.mcp import connection
from vivavoce.tools.mcp.hub import McpHub
from vivavoce.tools.mcp.settings import origin_of, read_settings
from vivavoce.tools.mcp.tool import McpTool


@contextlib.asynccontextmanager
async def hub_with(clients: tuple[str, ...] = (), **servers: Any) -> AsyncIterator[McpHub]:
    hub = McpHub(read_settings(servers, clients))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.aclose()


def named(tools: tuple[McpTool, ...]) -> dict[str, McpTool]:
    return {tool.about.declaration.name: tool for tool in tools}


async def up(hub: McpHub, count: int) -> dict[str, McpTool]:
    """The hub's tools, once there are so many."""
    await until(lambda: len(hub.tools()) == count)
    return named(hub.tools())


class Kitchen(MCPServer[Any]):
    """Notes what becomes of its slow tool."""

    calls: list[str]


def kitchen() -> Kitchen:
    """A server with two tools, one of which takes its time."""
    server = Kitchen("kitchen", log_level="CRITICAL")
    server.calls = []

    @server.tool()
    async def brew(cups: int) -> str:
        """Brew tea."""
        server.calls.append("started")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            server.calls.append("stopped")
            raise
        return f"{cups} cups"

    @server.tool()
    def greet(name: str) -> str:
        """Say hello."""
        return f"Hello, {name}."

    return server


def link(url: str, name: str = "kitchen", **more: Any) -> Json:
    return {"mcpServers": [{"name": name, "streamableHttpTransport": {"url": url, **more}}]}


async def run(tool: McpTool, **args: Any) -> Outcome:
    async with asyncio.timeout(15):
        return await tool.run(args)


SCRIPT = """
import asyncio, os
from mcp.server.mcpserver import MCPServer
server = MCPServer("pids", log_level="CRITICAL")
server.add_tool(os.getpid, name="pid")
@server.tool()
async def wait() -> None:
    await asyncio.sleep(60)
server.run("stdio")
"""


async def test_a_program_that_the_configuration_names_lends_its_tools() -> None:
    command = [sys.executable, str(EXAMPLE), "--stdio"]
    async with hub_with(kitchen={"command": command}) as hub:
        tools = await up(hub, 5)
        about = tools["add_to_shopping_list"].about
        assert about.kind is ToolKind.MCP
        assert about.declaration.description == "Put something on the shopping list."
        assert (about.declaration.parameters or {})["required"] == ["item"]
        added = await asyncio.gather(
            *(run(tools["add_to_shopping_list"], item=item) for item in ("milk", "tea", "bread"))
        )
        assert all(not outcome.failed for outcome in added)
        read = await run(tools["read_shopping_list"])
        assert sorted(read.response["output"]["result"]) == ["1 bread", "1 milk", "1 tea"]
        failed = await run(tools["order_shopping"])
        assert failed.response["error"] == failed.failed
        assert "The shop is closed." in failed.failed
        shown = await run(tools["show_color"], red=255, green=0, blue=0)
        (image,) = shown.parts
        assert image.mime_type == "image/png"
        assert getattr(image, "data", b"").startswith(b"\x89PNG")
        assert shown.response == {"output": "[image/png attached]"}


async def test_a_program_that_dies_is_started_again_and_ends_with_the_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.1)
    script = tmp_path / "server.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    async with hub_with(pids={"command": command}) as hub:
        tool = (await up(hub, 2))["pid"]
        first = int((await run(tool)).response["output"])
        call = asyncio.create_task(run(named(hub.tools())["wait"]))
        assert (await run(tool)).response["output"] == str(first)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ToolError, match="broke the connection off"):
            await call
        second = int((await run(tool)).response["output"])
        assert second != first
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_a_server_killed_in_mid_call_and_started_again_serves_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.1)
    port = free_port()
    kitchen = {"url": f"http://127.0.0.1:{port}/mcp"}
    async with hub_with(kitchen=kitchen) as hub:
        assert hub.tools() == ()  # unreachable at the start: tools appear when it is up
        async with program(port) as process:
            tools = await up(hub, 5)
            call = asyncio.create_task(run(tools["brew_tea"], seconds=60))
            assert not (await run(tools["read_shopping_list"])).failed
            process.kill()
            with pytest.raises(ToolError, match="broke the connection off"):
                await call
            with pytest.raises(ToolError, match="can't be reached right now"):
                await run(tools["read_shopping_list"])
        async with program(port):
            await up(hub, 5)
            assert not (await run(tools["read_shopping_list"])).failed


@pytest.mark.parametrize("older", [True, False])
async def test_a_cancelled_call_is_stopped_at_the_server_and_others_go_on(older: bool) -> None:
    server = kitchen()
    async with serving_mcp(server, older) as url, hub_with(k={"url": url}) as hub:
        tools = await up(hub, 2)
        call = asyncio.create_task(run(tools["brew"], cups=1))
        await until(lambda: server.calls == ["started"])
        assert (await run(tools["greet"], name="Ada")).response["output"]["result"] == "Hello, Ada."
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: server.calls == ["started", "stopped"])
        assert not (await run(tools["greet"], name="Ada")).failed


async def test_a_server_that_forgot_the_session_gets_the_call_once_more() -> None:
    port = free_port()
    async with hub_with(k={"url": f"http://127.0.0.1:{port}/mcp"}) as hub:
        async with serving_mcp(kitchen(), older=True, port=port):
            tools = await up(hub, 2)
        async with serving_mcp(kitchen(), older=True, port=port):
            assert not (await run(tools["greet"], name="Ada")).failed


async def test_a_slow_tool_is_given_up_after_its_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = kitchen()
    async with (
        serving_mcp(server) as url,
        hub_with(k={"url": url, "timeout_s": 0.2}) as hub,
    ):
        tools = await up(hub, 2)
        for _ in range(2):  # twice in a row, upon which the connection is made anew
            with pytest.raises(ToolError, match=r"no answer within 0\.2 seconds"):
                await run(tools["brew"], cups=1)
        await until(lambda: server.calls.count("stopped") == 2)
        await until(lambda: caplog.text.count("MCP server is up") == 2)
        assert not (await run(tools["greet"], name="Ada")).failed


async def test_two_servers_with_tools_of_the_same_name_are_told_apart() -> None:
    async with (
        serving_mcp(kitchen()) as one,
        serving_mcp(kitchen()) as two,
        hub_with(a={"url": one}, b={"url": two, "tools": ["greet", "absent"]}) as hub,
    ):
        tools = await up(hub, 3)
        assert set(tools) == {"brew", "a__greet", "b__greet"}
        assert set(named(hub.tools(taken={"brew"}))) == {"a__brew", "a__greet", "b__greet"}
        assert not (await run(tools["b__greet"], name="Ada")).failed


@pytest.mark.parametrize("older", [True, False])
async def test_a_changed_list_is_read_again(older: bool) -> None:
    server = kitchen()

    @server.tool()
    async def learn(ctx: Context[Any]) -> str:
        """Learn to bake."""
        server.add_tool(lambda: "A cake.", name="bake", description="Bake a cake.")
        if older:
            await ctx.session.send_tool_list_changed()
        await ctx.notify_tools_changed()
        return "Learned."

    async with serving_mcp(server, older) as url, hub_with(k={"url": url}) as hub:
        tools = await up(hub, 3)
        await run(tools["learn"])
        tools = await up(hub, 4)
        assert (await run(tools["bake"])).response == {"output": "A cake."}


async def test_a_clients_own_server_lives_as_long_as_its_conversation() -> None:
    async with serving_mcp(kitchen()) as url:
        origin = origin_of(url)
        assert origin is not None
        async with hub_with((origin,)) as hub:
            async with await hub.connect([link(url)], taken={"greet"}) as mine:
                tools = named(mine.tools)
                assert set(tools) == {"brew", "kitchen__greet"}
                assert mine.missing == ()
                assert not (await run(tools["kitchen__greet"], name="Ada")).failed
                assert hub.tools() == ()
            assert mine.tools == ()
            with pytest.raises(ToolError, match="can't be reached"):
                await run(tools["kitchen__greet"], name="Ada")


async def test_a_clients_server_that_is_not_there_is_missing_and_nothing_else() -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    async with hub_with((origin,)) as hub, await hub.connect([link(f"{origin}/mcp")]) as mine:
        assert (mine.tools, mine.missing) == ((), ("kitchen",))


async def test_a_client_may_not_bring_a_server_that_the_operator_did_not_list() -> None:
    async with serving_mcp(kitchen()) as url, hub_with() as hub:
        with pytest.raises(ClientFault, match="not enabled here"):
            await hub.connect([link(url)])


async def test_a_server_that_is_offered_on_request_stays_out_of_other_conversations() -> None:
    async with (
        serving_mcp(kitchen()) as url,
        hub_with(k={"url": url, "offer": "asked"}) as hub,
        await hub.connect([{"mcpServers": [{"name": "k"}]}]) as mine,
    ):
        await until(lambda: len(mine.tools) == 2)
        assert hub.tools() == ()
