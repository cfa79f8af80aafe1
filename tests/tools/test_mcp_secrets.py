"""What a client or a caller confides to an MCP server is told to that server alone."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

import serving as whole
from tools.conversations import conversation
from tools.mcp_servers import free_port, scripted_server, serving, text_result, until
from vivavoce.domain.content import BuiltinTool, Json, ToolCall, ToolKind, ToolOutcome, Tools
from vivavoce.domain.ids import CallId
from vivavoce.logs import configure
from vivavoce.runtime.connection import Connection
from vivavoce.runtime.tool_runner import NoTools
from vivavoce.tools.mcp.registry import McpRegistry
from vivavoce.tools.mcp.settings import McpServerSpec, McpSettings, origin_of
from vivavoce.tools.toolbox import REPORTED_ERROR, Toolbox

pytestmark = pytest.mark.integration

SECRET = "swordfish-4711"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def confiding(url: str, name: str = "shop") -> Json:
    headers = {"X-Api-Key": SECRET}
    transport = {"url": url, "headers": headers}
    return {"mcpServers": [{"name": name, "streamableHttpTransport": transport}]}


class Listening:
    """A server that notes the keys that it is sent."""

    def __init__(self, inner: ASGIApp) -> None:
        self.keys: list[str] = []
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.keys += [
            value.decode() for name, value in scope.get("headers", ()) if name == b"x-api-key"
        ]
        await self._inner(scope, receive, send)


async def test_a_clients_headers_reach_its_server_and_neither_the_log_nor_the_trace(
    tmp_path: Path,
) -> None:
    stream = io.StringIO()
    shop = Listening(scripted_server(plain=text_result("Hello.")))
    async with serving(shop) as origin:
        settings = f'log = {{ personal = true }}\n[tools]\nmcp_clients = ["{origin}"]\n'
        async with (
            whole.serving(tmp_path, settings) as server,
            whole.connected(server) as client,
        ):
            configure("debug", personal=True, stream=stream)
            await client.set_up(tools=[confiding(origin, "one")])
            assert shop.keys
            seen = len(shop.keys)
            await client.send(contextUpdate={"tools": {"tools": [confiding(origin, "two")]}})
            await until(lambda: len(shop.keys) > seen)
            (held,) = server.sessions
            assert isinstance(held, Connection)
            await until(lambda: "ContextUpdated" in "\n".join(held._session.trace.lines()))
            trace = "\n".join(held._session.trace.lines())
    assert set(shop.keys) == {SECRET}
    assert "mcpServers" in trace
    assert SECRET not in trace
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert any(
        line["event"] == "MCP server is up" and line.get("server") == "two" for line in lines
    )
    assert SECRET not in stream.getvalue()


async def resolved(hub: McpRegistry | None, *asked: BuiltinTool) -> Tools:
    tools = Toolbox(mcp=hub).open(lambda *_: None)
    try:
        return await tools.resolve(Tools(builtin=asked))
    finally:
        await tools.aclose()


async def test_what_is_kept_of_mcp_servers_names_those_of_the_operator_only() -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    origin = origin_of(url)
    assert origin is not None
    own = McpServerSpec("mine", url, on_request=True)
    hub = McpRegistry(McpSettings((own,), frozenset({origin})))
    servers = [*confiding(url)["mcpServers"], {"name": "mine"}]
    asked = (BuiltinTool("mcpServers", {"mcpServers": servers}), BuiltinTool("googleSearch"))
    kept = BuiltinTool("mcpServers", {"mcpServers": [{"name": "mine"}]})
    assert (await resolved(hub, *asked)).builtin == (kept, asked[1])
    assert (await resolved(None, *asked)).builtin == (kept, asked[1])
    bare = (await NoTools().resolve(Tools(builtin=asked))).builtin
    assert bare == (BuiltinTool("mcpServers"), BuiltinTool("googleSearch"))
    await hub.aclose()


async def test_why_a_server_is_down_is_reported_without_its_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp?token={SECRET}"
    spec = McpServerSpec("shop", url, headers={"X-Key": "opensesame"}, env={"A": "b", "C": SECRET})
    told = spec.masked(f"for {url}: illegal value b'opensesame' in a bid with {SECRET}")
    assert told == f"for {url.split('?')[0]}?…: illegal value b'…' in a bid with …"


# --- calls that fail -----------------------------------------------------------------------------


def failing() -> ASGIApp:
    """One tool that reports an error, and one that won't take what it is given."""
    error = text_result("There is no room for Ada.") | {"isError": True}
    refusal = {"error": {"code": -32602, "message": "Invalid room: Ada."}}
    return scripted_server(report=error, refuse=refusal)


async def failed(name: str, personal: bool) -> tuple[ToolOutcome, list[dict[str, Any]]]:
    """What the model is told of a failed call, and the lines of the log about it."""
    stream = io.StringIO()
    async with serving(failing()) as origin:
        hub = McpRegistry(McpSettings((McpServerSpec("hotel", f"{origin}/mcp"),)))
        await hub.start()
        try:
            await until(lambda: len(hub.tools()) == 2)
            tools = Toolbox(mcp=hub).open(lambda *_: None)
            offered = await tools.resolve(Tools())
            assert [tool.kind for tool in offered.server] == [ToolKind.MCP] * 2
            configure(personal=personal, stream=stream)
            call = ToolCall(CallId("c"), name, {"room": "Ada"})
            outcome = await tools.run(call, conversation(tools=offered))
        finally:
            await hub.aclose()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return outcome, [line for line in lines if line["event"] == "tool failed"]


@pytest.mark.parametrize(
    ("name", "culprit", "problem", "words"),
    [
        ("report", "report", REPORTED_ERROR, "There is no room for Ada."),
        (
            "refuse",
            "mcp.hotel",
            "The tool server hotel did not take these arguments.",
            "Invalid room: Ada.",
        ),
    ],
)
async def test_a_servers_words_reach_the_model_and_the_log_only_if_it_is_personal(
    name: str, culprit: str, problem: str, words: str
) -> None:
    outcome, (line,) = await failed(name, personal=False)
    assert words in outcome.response["error"]
    assert outcome.failed == outcome.response["error"]
    assert (line["tool"], line["problem"]) == (culprit, problem)
    assert "Ada" not in str(line)
    outcome, (line,) = await failed(name, personal=True)
    assert line["quoted"] == outcome.failed
