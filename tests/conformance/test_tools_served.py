"""The server's own tools by Google's Python SDK: each kind at work, and each going wrong.

One scripted server has them all: code in Monty, addresses on one loopback port, an MCP server of
the operator's, and a search service that is not there. Another is set up for a sandbox that the
machine lacks.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import websockets

from conformance.sdk import MODEL, live, said, turn
from conformance.servers import Running, free_port, serving

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    pytest.mark.filterwarnings("default"),
]

ROOT = Path(__file__).parents[2]
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
PAGE = b"<html><head><title>Tides</title></head><body><p>%s</p></body></html>"
SENTENCE = b"The sea comes twice a day, and twice a day it goes. "
TEXT: dict[str, Any] = {"response_modalities": ["TEXT"]}


class Page(http.server.BaseHTTPRequestHandler):
    """One page, and a door that leads inside."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        inside = self.path == "/inside"
        self.send_response(302 if inside else 200)
        if inside:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"" if inside else PAGE % (SENTENCE * 5))

    def log_message(self, format: str, *args: Any) -> None:
        return None


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def kitchen() -> Iterator[str]:
    """The example's MCP server, in a process of its own."""
    port = free_port()
    command = [sys.executable, str(ROOT / "examples" / "mcp_server.py"), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def served(site: int, kitchen: str) -> Iterator[Running]:
    settings = {
        "VIVAVOCE_TOOLS__SEARCH": json.dumps({"use": "searxng", "url": "http://127.0.0.1:9"}),
        "VIVAVOCE_TOOLS__CODE": "monty",
        "VIVAVOCE_TOOLS__URL": json.dumps({"allow_private": ["127.0.0.1/32"], "ports": [site]}),
        "VIVAVOCE_TOOLS__MCP": json.dumps({"kitchen": {"url": f"{kitchen}/mcp"}}),
        "VIVAVOCE_TOOLS__MCP_CLIENTS": kitchen,
    }
    with serving("scripted", **settings) as running:
        wait_for(running.log, "MCP server is up")
        yield running


def wait_for(log: Path, words: str, within_s: float = 30.0) -> str:
    deadline = time.monotonic() + within_s
    while words not in (text := log.read_text(errors="replace")):
        assert time.monotonic() < deadline, text[-2000:]
        time.sleep(0.1)
    return text


async def ask(session: Any, words: str) -> list[Any]:
    await session.send_client_content(turns={"parts": [{"text": words}]})
    return await turn(session)


def parts(messages: list[Any]) -> list[Any]:
    found = [m.server_content.model_turn for m in messages if m.server_content]
    return [part for content in found if content for part in content.parts]


def spoken(messages: list[Any]) -> str:
    return "".join(part.text or "" for part in parts(messages))


async def test_code_is_shown_and_run_and_its_result_spoken(genai: Any, served: Running) -> None:
    async with live(genai, served, tools=[{"code_execution": {}}]) as session:
        messages = await ask(session, "calculate 17 * 23")
    shown = [p for p in parts(messages) if p.executable_code or p.code_execution_result]
    code, result = shown
    assert code.executable_code.code == "print(17 * 23)"
    assert result.code_execution_result.output == "391\n"
    assert said(messages) == "the output is 391."
    assert messages[-1].usage_metadata.tool_use_prompt_token_count


async def test_code_that_goes_on_for_ever_ends_the_turn_all_the_same(
    genai: Any, served: Running
) -> None:
    async with live(genai, served, tools=[{"code_execution": {}}], **TEXT) as session:
        messages = await ask(session, "run while True: pass")
        (result,) = [p.code_execution_result for p in parts(messages) if p.code_execution_result]
        assert result.outcome.name == "OUTCOME_DEADLINE_EXCEEDED"
        assert spoken(await ask(session, "good day")) == "good day"


async def test_pages_are_read_and_their_statuses_are_true(
    genai: Any, served: Running, site: int
) -> None:
    page, inside = (f"http://127.0.0.1:{site}/{name}" for name in ("tides", "inside"))
    hidden = "http://10.0.0.1/"
    async with live(genai, served, tools=[{"url_context": {}}], **TEXT) as session:
        messages = await ask(session, f"read {page} and {inside} and {hidden}")
    (metadata,) = [
        m.server_content.url_context_metadata
        for m in messages
        if m.server_content and m.server_content.url_context_metadata
    ]
    statuses = {
        each.retrieved_url: each.url_retrieval_status.name.removeprefix("URL_RETRIEVAL_STATUS_")
        for each in metadata.url_metadata
    }
    assert statuses == {page: "SUCCESS", inside: "UNSAFE", hidden: "UNSAFE"}
    assert spoken(messages).startswith(SENTENCE.decode().strip())


async def test_a_search_service_that_is_not_there_is_apologized_for_and_logged(
    genai: Any, served: Running
) -> None:
    async with live(genai, served, tools=[{"google_search": {}}]) as session:
        messages = await ask(session, "search for the tides")
        assert said(messages) == "google search failed."
        assert messages[-1].server_content.turn_complete
        assert not any(m.server_content and m.server_content.grounding_metadata for m in messages)
        assert said(await ask(session, "good day")) == "good day"
    assert "search.searxng" in wait_for(served.log, "tool failed")


async def test_what_supports_cite_stands_where_they_say(genai: Any, tooled: Running) -> None:
    async with live(genai, tooled, tools=[{"google_search": {}}], **TEXT) as session:
        messages = await ask(session, "When is the library open?")
    (metadata,) = [
        m.server_content.grounding_metadata
        for m in messages
        if m.server_content and m.server_content.grounding_metadata
    ]
    told = spoken(messages).encode()
    segments = [support.segment for support in metadata.grounding_supports]
    assert segments
    for segment in segments:
        cited = told[segment.start_index or 0 : segment.end_index].decode()
        assert cited == segment.text
    assert metadata.grounding_chunks[0].web.uri == "file:documents/library-hours.txt"


async def test_the_operators_mcp_tools_are_there_without_being_asked_for(
    genai: Any, served: Running
) -> None:
    async with live(genai, served, **TEXT) as session:
        messages = await ask(session, "add to shopping list 'milk'")
        assert spoken(messages) == "add to shopping list is done."
        assert not any(part.tool_call for part in parts(messages)), "nobody asked to see it"
        assert not any(m.tool_call for m in messages), "and it is not the client's to run"
        assert spoken(await ask(session, "order shopping")) == "order shopping failed."


async def test_a_client_that_asks_sees_the_servers_calls(served: Running) -> None:
    setup = {
        "model": f"models/{MODEL}",
        "generationConfig": {"responseModalities": ["TEXT"]},
        "toolConfig": {"includeServerSideToolInvocations": True},
    }
    words = {"turns": [{"parts": [{"text": "read shopping list"}]}], "turnComplete": True}
    seen: dict[str, Any] = {}
    async with websockets.connect(served.socket_url + PATH) as socket:
        await socket.send(json.dumps({"setup": setup}))
        await socket.recv()
        await socket.send(json.dumps({"clientContent": words}))
        while "turnComplete" not in (content := json.loads(await socket.recv())["serverContent"]):
            for part in content.get("modelTurn", {}).get("parts", ()):
                seen |= part
    assert seen["toolCall"]["args"] == {"name": "read_shopping_list", "arguments": {}}
    assert seen["toolResponse"]["id"] == seen["toolCall"]["id"]
    assert "output" in seen["toolResponse"]["response"]


async def test_a_client_brings_its_own_mcp_server_where_it_may(
    genai: Any, served: Running, kitchen: str
) -> None:
    transport = {"url": f"{kitchen}/mcp"}
    tools = [{"mcp_servers": [{"name": "mine", "streamable_http_transport": transport}]}]
    async with live(genai, served, tools=tools, **TEXT) as session:
        assert spoken(await ask(session, "mine add to shopping list 'tea'")).endswith("is done.")


async def test_an_mcp_server_that_is_not_allowed_is_refused_with_the_reason(
    genai: Any, served: Running
) -> None:
    from google.genai import errors

    transport = {"url": "http://127.0.0.1:9/mcp"}
    tools = [{"mcp_servers": [{"name": "mine", "streamable_http_transport": transport}]}]
    with pytest.raises(errors.APIError, match="not enabled") as fault:
        async with live(genai, served, tools=tools) as session:
            await turn(session)
    assert fault.value.code == 1008


async def test_all_of_them_in_one_turn(genai: Any, served: Running) -> None:
    tools = [
        {"google_search": {}},
        {"code_execution": {}},
        {"function_declarations": [{"name": "turn_on_the_lights"}]},
    ]
    async with live(genai, served, tools=tools, **TEXT) as session:
        words = "search, and read shopping list and turn on the lights"
        await session.send_client_content(turns={"parts": [{"text": words}]})
        text = ""
        async for message in session.receive():
            text += spoken([message])
            for call in message.tool_call.function_calls if message.tool_call else ():
                answer = genai.types.FunctionResponse(id=call.id, name=call.name, response={"a": 1})
                await session.send_tool_response(function_responses=answer)
    assert text == "google search failed. read shopping list is done. turn on the lights is done."


async def test_an_update_brings_a_tool_and_takes_it_away(genai: Any, served: Running) -> None:
    async with live(genai, served, **TEXT) as session:
        assert spoken(await ask(session, "calculate 1 + 1")) == "calculate 1 + 1"
        await session.send_context_update(tools=[{"code_execution": {}}])
        assert spoken(await ask(session, "calculate 1 + 1")) == "the output is 2."
        await session.send_context_update(tools=[])
        assert spoken(await ask(session, "calculate 1 + 1")) == "calculate 1 + 1"


async def test_a_sandbox_that_cannot_be_had_refuses_those_who_want_it(genai: Any) -> None:
    from google.genai import errors

    sandbox = {"use": "bubblewrap", "program": "/nowhere/bwrap"}
    settings = {"VIVAVOCE_TOOLS__CODE": json.dumps(sandbox), "VIVAVOCE_TOOLS__SEARCH": ""}
    with serving("scripted", **settings) as running:
        with pytest.raises(errors.APIError, match="codeExecution is not available") as fault:
            async with live(genai, running, tools=[{"code_execution": {}}]) as session:
                await turn(session)
        assert fault.value.code == 1008
        async with live(genai, running, **TEXT) as session:
            assert spoken(await ask(session, "good day")) == "good day", "all others go on"
