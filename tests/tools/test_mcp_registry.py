"""The registry with real MCP servers: over streamable HTTP on loopback, and over pipes."""

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

from tools.conversations import said
from tools.mcp_servers import EXAMPLE, count_logged, free_port, program, serving_mcp, until
from vivavoce.domain.content import Json, ToolKind, ToolOutcome
from vivavoce.errors import ClientFault, ToolError
from vivavoce.tools.mcp import connection
from vivavoce.tools.mcp.connection import McpTool
from vivavoce.tools.mcp.registry import MAX_RETIRED, McpClientTools, McpRegistry
from vivavoce.tools.mcp.settings import origin_of, read_settings

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def hub_with(clients: tuple[str, ...] = (), **servers: Any) -> AsyncIterator[McpRegistry]:
    hub = McpRegistry(read_settings(servers, clients))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.aclose()


def named(tools: tuple[McpTool, ...]) -> dict[str, McpTool]:
    return {tool.spec.declaration.name: tool for tool in tools}


async def up(hub: McpRegistry, count: int) -> dict[str, McpTool]:
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


async def run(tool: McpTool, **args: Any) -> ToolOutcome:
    async with asyncio.timeout(15):
        return await tool.run(args, said("put the kettle on"))


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
        spec = tools["add_to_shopping_list"].spec
        assert spec.kind is ToolKind.MCP
        assert spec.declaration.description == "Put something on the shopping list."
        assert (spec.declaration.parameters or {})["required"] == ["item"]
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


async def test_a_program_that_dies_is_started_again_and_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_RETRY_DELAY_S", 0.1)
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
    monkeypatch.setattr(connection, "MAX_RETRY_DELAY_S", 0.1)
    monkeypatch.setattr(connection, "FIRST_RETRY_DELAY_S", 0.1)
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


async def test_two_servers_with_tools_of_the_same_name_stay_distinct() -> None:
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


@contextlib.asynccontextmanager
async def conversation(hub: McpRegistry, *wanted: Json) -> AsyncIterator[McpClientTools]:
    """The MCP servers of one client, which wants these to begin with."""
    async with contextlib.aclosing(hub.open()) as mine:
        await mine.request_servers(wanted)
        yield mine


@contextlib.asynccontextmanager
async def hub_for(*urls: str) -> AsyncIterator[McpRegistry]:
    """A hub to which clients may bring these servers."""
    async with hub_with(tuple(origin for url in urls if (origin := origin_of(url)))) as hub:
        yield hub


async def test_a_clients_own_server_lives_as_long_as_its_conversation() -> None:
    async with serving_mcp(kitchen()) as url, hub_for(url) as hub:
        async with conversation(hub, link(url)) as mine:
            tools = named(mine.tools(taken={"greet"}))
            assert set(tools) == {"brew", "kitchen__greet"}
            assert not (await run(tools["kitchen__greet"], name="Ada")).failed
            assert hub.tools() == ()
        assert mine.tools() == ()
        with pytest.raises(ToolError, match="can't be reached"):
            await run(tools["kitchen__greet"], name="Ada")


async def test_a_clients_server_that_is_not_there_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    async with hub_for(url) as hub, conversation(hub, link(url)) as mine:
        assert mine.tools() == ()
    assert count_logged(caplog, "MCP server of a client is left out", server="kitchen") == 1


async def test_a_client_may_not_bring_a_server_that_the_operator_did_not_list() -> None:
    async with serving_mcp(kitchen()) as url, hub_with() as hub:
        with pytest.raises(ClientFault, match="not enabled here"):
            await hub.open().request_servers([link(url)])


async def test_a_server_that_is_offered_on_request_stays_out_of_other_conversations(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = {"mcpServers": [{"name": "k"}]}
    async with (
        serving_mcp(kitchen()) as url,
        hub_with(k={"url": url, "offer": "asked"}) as hub,
        conversation(hub, wanted) as mine,
    ):
        assert count_logged(caplog, "MCP server that a client asks for is down", server="k") == 1
        await until(lambda: len(mine.tools()) == 2)
        assert hub.tools() == ()


# --- updates of a conversation -------------------------------------------------------------------


async def test_a_server_that_is_named_again_keeps_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        serving_mcp(kitchen()) as url,
        serving_mcp(kitchen()) as other,
        hub_for(url, other) as hub,
        conversation(hub, link(url)) as mine,
    ):
        await mine.request_servers([link(url), link(other, "pantry")])
        assert count_logged(caplog, "MCP server is up", server="pantry") == 1
        assert count_logged(caplog, "MCP server is up", server="kitchen") == 1
        await mine.request_servers([link(url, headers={"X-Api-Key": "another"})])
        assert count_logged(caplog, "MCP server is up", server="kitchen") == 2


async def test_a_server_that_is_no_longer_named_ends_when_its_last_call_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "RETIREMENT_S", 0.0)
    server = kitchen()
    async with (
        serving_mcp(server) as url,
        hub_for(url) as hub,
        conversation(hub, link(url)) as mine,
    ):
        tools = named(mine.tools())
        (held,) = mine._own
        call = asyncio.create_task(run(tools["brew"], cups=1))
        await until(lambda: server.calls == ["started"])
        await mine.request_servers([])
        assert mine.tools() == ()
        assert not (await run(tools["greet"], name="Ada")).failed
        assert not held.over
        call.cancel()
        await until(lambda: held.over)
        with pytest.raises(ToolError, match="can't be reached"):
            await run(tools["greet"], name="Ada")


async def test_a_generation_that_began_earlier_may_still_call_what_was_taken_away() -> None:
    async with (
        serving_mcp(kitchen()) as url,
        hub_for(url) as hub,
        conversation(hub, link(url)) as mine,
    ):
        tools = named(mine.tools())
        await mine.request_servers([])
        assert not (await run(tools["greet"], name="Ada")).failed


async def test_a_call_that_never_ends_holds_a_retired_connection_for_its_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "RETIREMENT_S", 0.0)
    server = kitchen()
    async with (
        serving_mcp(server) as url,
        hub_for(url) as hub,
        conversation(hub, link(url, sseReadTimeout=0.5)) as mine,
    ):
        call = asyncio.create_task(run(named(mine.tools())["brew"], cups=1))
        await until(lambda: server.calls == ["started"])
        (held,) = mine._own
        await mine.request_servers([])
        await until(lambda: held.over, within_s=3)
        with pytest.raises(ToolError):
            await call


async def test_so_many_retired_connections_stay_and_no_more() -> None:
    async with (
        serving_mcp(kitchen()) as url,
        hub_for(url) as hub,
        conversation(hub) as mine,
    ):
        tools = []
        for number in range(MAX_RETIRED + 2):
            await mine.request_servers([link(url, f"kitchen{number}")])
            tools.append(named(mine.tools())["greet"])
        assert not (await run(tools[1], name="Ada")).failed
        with pytest.raises(ToolError, match="can't be reached"):
            await run(tools[0], name="Ada")
