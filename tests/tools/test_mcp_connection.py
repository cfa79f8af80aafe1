"""Connections to MCP servers that fail, answer oddly, or do not close."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp.server import Server, ServerRequestContext
from mcp_types import (
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tools.conversations import conversation
from tools.mcp_servers import (
    OBJECT,
    Answer,
    app,
    scripted_server,
    serving,
    serving_mcp,
    text_result,
    until,
)
from vivavoce.domain.content import Blob, ToolOutcome
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ToolError
from vivavoce.runtime.connection import RELEASE_TIMEOUT_S
from vivavoce.server import ENGINE_CLOSE_TIMEOUT_S
from vivavoce.tools.mcp.connection import McpConnection, McpConnectionState, McpTool
from vivavoce.tools.mcp.conversion import (
    MAX_ERROR,
    MAX_PARTS,
    MAX_TEXT,
    MAX_TOOLS,
    is_work,
    outcome_of,
    schema_fault,
)
from vivavoce.tools.mcp.settings import McpServerSpec
from vivavoce.tools.mcp.transport import MAX_RESPONSE_BYTES, MAX_RESPONSE_VALUES


@contextlib.asynccontextmanager
async def connection(url: str, **more: Any) -> AsyncIterator[McpConnection]:
    workers = WorkerPool("mcp")
    each = McpConnection(McpServerSpec("odd", url, **more), workers)
    try:
        yield each
    finally:
        async with asyncio.timeout(10):
            await each.aclose()
        workers.close()


def listing(*tools: Tool, **results: CallToolResult) -> Server[Any]:
    """A server that lists these tools, one a page, and answers calls as is written."""

    async def on_list(
        context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        start = int(params.cursor) if params and params.cursor else 0
        end = start + max(1, len(tools) // 4)
        more = str(end) if end < len(tools) else None
        return ListToolsResult(tools=list(tools[start:end]), next_cursor=more)

    async def on_call(
        context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        return results[params.name]

    return Server("odd", on_list_tools=on_list, on_call_tool=on_call)


async def rubbish(request: Request) -> Response:
    return PlainTextResponse("<html>Welcome to nginx!</html>")


async def broken(request: Request) -> Response:
    return PlainTextResponse("?", 500)


async def nonsense(request: Request) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": (await request.json()).get("id"), "result": [7]})


async def silent(request: Request) -> Response:
    await asyncio.sleep(30)
    return PlainTextResponse("")


@pytest.mark.integration
@pytest.mark.parametrize("answer", [rubbish, broken, nonsense, silent])
async def test_a_server_that_speaks_no_mcp_is_not_there(answer: Answer) -> None:
    async with serving(app(answer)) as origin, connection(origin, connect_s=1.0) as odd:
        async with asyncio.timeout(5):
            with pytest.raises(ToolError, match="can't be reached right now"):
                await odd.open()
        assert not odd.up


@pytest.mark.integration
async def test_a_silent_server_delays_no_client_that_leaves() -> None:
    async with serving(app(silent)) as origin, connection(origin, connect_s=30.0) as odd:
        opening = asyncio.create_task(odd.open())
        await until(lambda: odd.state is McpConnectionState.CONNECTING)
        async with asyncio.timeout(1.0):
            await odd.aclose()
        with pytest.raises(ToolError, match="can't be reached right now"):
            await opening


@pytest.mark.integration
async def test_a_redirect_to_another_origin_is_not_followed() -> None:
    visits = []

    async def inside(request: Request) -> Response:
        visits.append(request.url.path)
        return PlainTextResponse("secret")

    async with serving(app(inside)) as target:

        async def redirect(request: Request) -> Response:
            return RedirectResponse(f"{target}/mcp", 307)

        async with serving(app(redirect)) as origin, connection(origin, connect_s=1.0) as odd:
            with pytest.raises(ToolError):
                await odd.open()
    assert visits == []


@pytest.mark.integration
@pytest.mark.parametrize("command", [("/does/not/exist",), ("true",), ("cat",), ("yes",)])
async def test_a_program_that_speaks_no_mcp_is_not_there(command: tuple[str, ...]) -> None:
    async with connection("", command=command, connect_s=1.0) as odd, asyncio.timeout(10):
        with pytest.raises(ToolError, match="can't be reached right now"):
            await odd.open()


@pytest.mark.integration
async def test_of_thousands_of_tools_so_many_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    tools = [Tool(name=f"tool_{n}", input_schema=OBJECT) for n in range(2000)]
    async with serving_mcp(listing(*tools)) as url, connection(url) as odd:
        await odd.open()
        assert [tool.name for tool in odd.tools] == [tool.name for tool in tools[:MAX_TOOLS]]
    assert "lists too many tools" in caplog.text


@pytest.mark.integration
async def test_all_pages_are_read_and_tools_with_bad_schemas_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tools = [
        Tool(name="good", input_schema=OBJECT, title="Good"),
        Tool(name="bad", input_schema={"type": "object", "required": 7}),
        Tool(name="good", input_schema=OBJECT),
        Tool(name="last", input_schema=OBJECT, description="Last."),
    ]
    caplog.set_level(logging.WARNING)
    async with serving_mcp(listing(*tools)) as url, connection(url) as odd:
        await odd.open()
        assert [(tool.name, tool.description) for tool in odd.tools] == [
            ("good", "Good"),
            ("last", "Last."),
        ]
    left_out = [
        vars(record) for record in caplog.records if record.getMessage() == "MCP tool is left out"
    ]
    assert [line["tool"] for line in left_out] == ["bad", "good"]
    assert left_out[0]["problem"].startswith("a schema that is wrong at #/required")
    assert left_out[1]["problem"] == "a name that was there before"


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object", "properties": {"$ref": {"type": "string"}}}, ""),
        ({"$ref": "#/$defs/a", "$defs": {"a": OBJECT}}, ""),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "wrong at #/properties/a/type"),
        ({"properties": {"a": {"$ref": "http://169.254.169.254/"}}}, "nothing is fetched"),
        ({"$ref": "#/$defs/b", "$defs": {"a": OBJECT}}, "nothing stands at"),
        ({"description": "x" * 40_000}, "more than 32768 bytes"),
        (deep(5000), "a schema"),  # up to Python 3.13 nested too deeply, then too long
    ],
)
def test_a_schema_is_looked_at_before_anyone_uses_it(schema: dict[str, Any], fault: str) -> None:
    found = schema_fault(schema)
    assert fault in found
    assert bool(found) == bool(fault)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("tool", "problem"),
    [
        ("none", "an answer that is not understood"),
        ("huge", "reported an error"),
        ("packed", "broke the connection off"),
        ("crowded", "reported an error"),
        ("streamed", "broke the connection off"),
    ],
)
async def test_an_answer_that_can_not_be_taken_fails_the_call_alone(
    tool: str, problem: str
) -> None:
    server = scripted_server(
        none={"content": "not a list"},
        huge=text_result("x" * MAX_RESPONSE_BYTES),
        packed=text_result("x" * 1000),
        crowded={"content": [], "structuredContent": {"a": [[]] * MAX_RESPONSE_VALUES}},
        streamed={"content": [], "structuredContent": {"a": [[]] * MAX_RESPONSE_VALUES}},
        listed=text_result(json.dumps([[]] * MAX_RESPONSE_VALUES)),
        plain=text_result("Hello."),
    )
    async with serving(server) as origin, connection(origin) as odd:
        await odd.open()
        with pytest.raises(ToolError, match=problem):
            await odd.call_tool(tool, {})
        assert outcome_of(await odd.call_tool("plain", {})).response == {"output": "Hello."}
        assert not (await odd.call_tool("listed", {})).is_error


@pytest.mark.integration
async def test_an_unknown_tool_is_an_error_that_the_server_words() -> None:
    async with serving_mcp(listing()) as url, connection(url) as odd:
        await odd.open()
        with pytest.raises(ToolError, match="reported an error"):
            await odd.call_tool("other", {})


# --- results -------------------------------------------------------------------------------------


def result_of(*content: ContentBlock, **more: Any) -> ToolOutcome:
    return outcome_of(CallToolResult(content=list(content), **more))


def words(text: str) -> TextContent:
    return TextContent(text=text)


PIXEL = base64.b64encode(b"pixel").decode()


def test_words_are_joined_and_a_structured_result_goes_before_them() -> None:
    assert result_of(words("one"), words("two")).response == {"output": "one\ntwo"}
    structured = result_of(words('{"a": 1}'), structured_content={"a": 1})
    assert structured.response == {"output": {"a": 1}}
    assert result_of().response == {"output": ""}


def test_giant_results_are_cut_with_a_note() -> None:
    for outcome in (
        result_of(words("x" * 1_000_000)),
        result_of(structured_content={"a": "x" * 1_000_000}),
    ):
        output = outcome.response["output"]
        assert len(output) < MAX_TEXT + 100
        assert "[cut here" in output
    failed = result_of(words("x" * 1_000_000), is_error=True)
    assert len(failed.failed) < MAX_ERROR + 100


def test_an_error_without_words_becomes_a_sentence() -> None:
    failed = result_of(is_error=True)
    assert failed.response == {"error": "The tool failed and did not say why."}


def test_resources_and_links_are_words_and_bytes() -> None:
    blocks: Sequence[ContentBlock] = (
        ResourceLink(name="menu", uri="https://example.org/menu"),
        EmbeddedResource(resource=TextResourceContents(uri="a:b", text="Soup.")),
        EmbeddedResource(resource=BlobResourceContents(uri="a:c", blob=PIXEL, mime_type="a/b")),
        ImageContent(data="###", mime_type="image/png"),
    )
    outcome = result_of(*blocks)
    assert outcome.response["output"].split("\n") == [
        "menu: https://example.org/menu",
        "Soup.",
        "[a/b attached]",
        "[image/png that can't be read]",
    ]
    assert outcome.parts == (Blob(b"pixel", "a/b"),)


def test_of_many_images_so_many_are_kept() -> None:
    image = ImageContent(data=PIXEL, mime_type="image/png")
    outcome = result_of(*[image] * (MAX_PARTS + 1))
    assert len(outcome.parts) == MAX_PARTS
    assert outcome.response["output"].endswith("[image/png left out]")


@pytest.mark.parametrize(
    ("content", "structured", "work"),
    [
        ([words("x" * 1_000_000)], None, False),
        ([words("")] * 1000, None, True),
        ([ImageContent(data=PIXEL, mime_type="image/png")], None, True),
        ([], {"a": [{}] * 100_000}, True),
    ],
)
async def test_what_takes_long_to_read_is_read_elsewhere(
    content: list[ContentBlock], structured: dict[str, Any] | None, work: bool
) -> None:
    assert is_work(CallToolResult(content=content, structured_content=structured)) == work


def test_a_giant_structured_result_is_written_only_as_far_as_it_is_kept() -> None:
    class Endless(list[Any]):
        """As long as somebody reads on."""

        def __iter__(self) -> Iterator[Any]:
            return itertools.repeat({"k": 1})

    output = result_of(structured_content={"a": Endless([1])}).response["output"]
    assert output.startswith('{"a": [{"k": 1}, {"k": 1}, ')
    assert len(output) == MAX_TEXT + len(" [cut here]")


@pytest.mark.integration
async def test_a_structured_answer_is_read_in_a_thread() -> None:
    server = scripted_server(plain={"content": [], "structuredContent": {"a": 1}})
    async with serving(server) as origin, connection(origin) as odd:
        await odd.open()
        (remote,) = odd.tools
        outcome = await McpTool("plain", remote, odd).run({}, conversation())
        assert outcome.response == {"output": {"a": 1}}
        odd.workers.close()
        with pytest.raises(RuntimeError, match="workers of mcp are closed"):
            await McpTool("plain", remote, odd).run({}, conversation())


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
    async with asyncio.timeout(RELEASE_TIMEOUT_S):
        await held.aclose()


async def lose_patience(held: McpConnection) -> None:
    closing = asyncio.create_task(held.aclose())
    await asyncio.wait({closing}, timeout=0.1)
    closing.cancel()
    await asyncio.wait({closing})


@pytest.mark.integration
@pytest.mark.parametrize("stop", [wait_for_it, lose_patience])
async def test_a_server_that_is_silent_at_closing_is_left_behind(stop: Stop) -> None:
    inner = scripted_server(plain=text_result("Hello."))
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


@pytest.mark.integration
async def test_a_program_that_is_deaf_to_signals_is_killed_in_time(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(DEAF)
    workers = WorkerPool("mcp")
    command = (sys.executable, str(script))
    held = McpConnection(McpServerSpec("deaf", command=command, connect_s=30.0), workers)
    await held.open()
    result = await held.call_tool("pid", {})
    pid = int(getattr(result.content[0], "text", ""))
    async with asyncio.timeout(ENGINE_CLOSE_TIMEOUT_S):
        await held.aclose()
    assert held.over
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    workers.close()
