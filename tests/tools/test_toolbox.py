"""What one conversation gets of the server's tools, and how its calls are run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer

from tools.conversations import conversation, exchange, user
from tools.mcp_servers import serving_mcp, until
from vivavoce.domain.content import (
    BuiltinTool,
    CodeResult,
    Content,
    RetrievalStatus,
    Source,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.engines.ports import SearchQuery
from vivavoce.errors import ClientFault, ToolError
from vivavoce.protocol.close import not_served
from vivavoce.tools.mcp.registry import McpRegistry
from vivavoce.tools.mcp.settings import McpServerSpec, McpSettings
from vivavoce.tools.toolbox import MAX_TOOL_SETS, SessionTools, Toolbox
from vivavoce.tools.url_context import create_tool as create_web

FOUND = Source("https://a.example/", "A", "It is so.")
SEARCH, CODE, URL = (BuiltinTool(k) for k in ("googleSearch", "codeExecution", "urlContext"))


class Finder:
    """Finds one thing, fails, or never comes back."""

    name = "finder"

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        if query.text == "fail":
            raise ToolError("search.finder", "The library is closed.")
        if query.text == "hang":
            await asyncio.get_running_loop().create_future()
        return (FOUND,)

    async def aclose(self) -> None:
        return None


class Adder:
    """Runs nothing; says what it was given."""

    name = "adder"
    abilities = "It adds."

    async def run(self, code: str) -> CodeResult:
        return CodeResult("OUTCOME_OK", code)

    async def aclose(self) -> None:
        return None


class Ledger:
    """Hears of every run."""

    def __init__(self) -> None:
        self.runs: list[tuple[ToolKind, str, str]] = []

    def tool_ran(self, kind: ToolKind, name: str, failed: str, took_s: float) -> None:
        self.runs.append((kind, name, failed))


def session(unserved: list[str] | None = None, **parts: Any) -> SessionTools:
    told = [] if unserved is None else unserved
    return Toolbox(**parts).open(lambda _, kind: told.append(kind))


async def run(tools: SessionTools, offered: Tools, name: str, **args: Any) -> ToolOutcome:
    return await tools.run(ToolCall(CallId("c"), name, args), conversation(tools=offered))


def names(tools: Tools) -> list[str]:
    return [tool.declaration.name for tool in tools.server]


async def test_the_apis_kinds_become_functions_and_the_clients_own_stay() -> None:
    mine = ToolDeclaration("lights")
    asked = Tools((mine,), (SEARCH, CODE, URL, BuiltinTool("googleSearchRetrieval")))
    web = create_web({})
    tools = session(search=Finder(), sandbox=Adder(), web=web)
    found = await tools.resolve(asked)
    assert (found.functions, found.builtin) == (asked.functions, asked.builtin)
    assert names(found) == ["google_search", "code_execution", "url_context"]
    assert [tool.kind for tool in found.server] == [ToolKind.SEARCH, ToolKind.CODE, ToolKind.URL]
    assert (await run(tools, found, "google_search", query="x")).sources == (FOUND,)
    assert (await run(tools, found, "code_execution", code="1")).response["output"] == "1"
    await web.aclose()


async def test_what_is_not_turned_on_is_left_out_and_reported() -> None:
    told: list[str] = []
    found = await session(told, search=Finder()).resolve(
        Tools(builtin=(SEARCH, CODE, BuiltinTool("googleMaps"), BuiltinTool("mcpServers")))
    )
    assert names(found) == ["google_search"]
    assert told == ["codeExecution", "googleMaps", "mcpServers"]


async def test_a_strict_server_may_refuse_what_it_does_not_serve() -> None:
    def refuse(kind: str, name: str) -> None:
        raise not_served()

    with pytest.raises(ClientFault):
        await Toolbox().open(refuse).resolve(Tools(builtin=(CODE,)))


async def test_what_is_turned_on_and_cannot_work_is_refused_with_the_reason() -> None:
    tools = session(refusals={"codeExecution": "bwrap is not installed."})
    assert (await tools.resolve(Tools())).server == ()
    with pytest.raises(ClientFault, match="codeExecution is not available: bwrap") as refused:
        await tools.resolve(Tools(builtin=(CODE,)))
    assert refused.value.code == 1008


async def test_a_search_that_was_not_there_at_the_start_is_found_when_it_is_wanted() -> None:
    told: list[str] = []
    index: list[Finder] = []

    async def find() -> Finder | None:
        return index[0] if index else None

    box = Toolbox(find_search=find)
    asked = Tools(builtin=(SEARCH,))
    assert names(await box.open(lambda _, kind: told.append(kind)).resolve(asked)) == []
    assert told == ["googleSearch"]
    index.append(Finder())
    assert names(await box.open(lambda *_: None).resolve(asked)) == ["google_search"]


async def test_a_clients_function_keeps_its_name_and_ours_gives_way() -> None:
    mine = (ToolDeclaration("google_search"), ToolDeclaration("google_search_2"))
    tools = session(search=Finder())
    found = await tools.resolve(Tools(mine, (SEARCH,)))
    assert names(found) == ["google_search_3"]
    assert (await run(tools, found, "google_search_3", query="x")).sources == (FOUND,)


async def test_a_failure_is_an_outcome_that_the_model_gets() -> None:
    ledger = Ledger()
    tools = session(search=Finder(), listener=ledger, deadline_s=0.05)
    found = await tools.resolve(Tools(builtin=(SEARCH,)))
    closed = await run(tools, found, "google_search", query="fail")
    assert closed.response == {"error": "The library is closed."}
    late = await run(tools, found, "google_search", query="hang")
    assert "longer than 0.05 seconds" in late.response["error"]
    await run(tools, found, "google_search", query="x")
    assert [failed for _, _, failed in ledger.runs] == [closed.failed, late.failed, ""]


async def test_a_call_means_the_tool_that_had_its_name_when_it_was_made() -> None:
    tools = session(search=Finder(), sandbox=Adder())
    before = await tools.resolve(Tools(builtin=(SEARCH,)))
    after = await tools.resolve(Tools(builtin=(CODE,)))
    assert names(after) == ["code_execution"]
    assert (await run(tools, before, "google_search", query="x")).sources == (FOUND,)
    for _ in range(MAX_TOOL_SETS):
        await tools.resolve(Tools())
    gone = await run(tools, before, "google_search", query="x")
    assert gone.failed == "This tool is not offered any more."


OWN = "http://127.0.0.1/?words=of+the+user"


async def read(tools: SessionTools, offered: Tools, *history: Content) -> str:
    """Why the page at `OWN` was not read."""
    call = ToolCall(CallId("last"), "url_context", {"urls": [OWN]})
    outcome = await tools.run(call, conversation(*history, tools=offered))
    (page,) = outcome.pages
    assert page.status is RetrievalStatus.UNSAFE
    return str(outcome.response["pages"][0]["error"])


async def test_an_address_of_the_models_own_is_not_read_however_often_it_is_named() -> None:
    web = create_web({})
    tools = session(web=web, sandbox=Adder())
    echo = ToolDeclaration("echo")
    found = await tools.resolve(Tools((echo,), (URL, CODE)))
    history: list[Content] = []
    for name, args in (
        ("url_context", {"urls": [OWN]}),
        ("url_context", {"urls": OWN}),
        ("code_execution", {"code": f"print({OWN!r})"}),
    ):
        call = ToolCall(CallId("c"), name, args)
        outcome = await tools.run(call, conversation(*history, tools=found))
        assert OWN in str(outcome.response), "the result repeats it"
        history += exchange(name, args, outcome.response)
        assert "not given" in await read(tools, found, *history)
    history += exchange("echo", {"words": OWN}, {"error": f"What is {OWN}?"}, "e")
    assert "not given" in await read(tools, found, *history)
    assert "not given" not in await read(tools, found, *history, user(Text(f"read {OWN}")))
    await web.aclose()


@pytest.mark.integration
async def test_the_operators_mcp_tools_are_offered_to_all_sessions() -> None:
    server = MCPServer("kitchen")

    @server.tool()
    def lights(room: str) -> str:
        """Turn on the lights."""
        return f"{room} is lit"

    async with serving_mcp(server) as address:
        hub = McpRegistry(McpSettings((McpServerSpec("kitchen", url=address),)))
        await hub.start()
        try:
            await until(lambda: bool(hub.tools()))
            tools = session(mcp=hub)
            found = await tools.resolve(Tools((ToolDeclaration("lights"),)))
            assert names(found) == ["kitchen__lights"]
            outcome = await run(tools, found, "kitchen__lights", room="hall")
            assert outcome.response == {"output": {"result": "hall is lit"}}
            await tools.aclose()
        finally:
            await hub.aclose()


async def test_parts_are_closed_side_by_side_whatever_the_others_do() -> None:
    closed = asyncio.Event()

    class Broken(Adder):
        async def aclose(self) -> None:
            await closed.wait()
            raise OSError("gone")

    class Last(Finder):
        async def aclose(self) -> None:
            closed.set()

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as failures:
            await Toolbox(sandbox=Broken(), search=Last()).aclose()
    assert [str(each) for each in failures.value.exceptions] == ["gone"]
