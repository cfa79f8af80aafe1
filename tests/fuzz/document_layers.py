"""Layers of what is brought from elsewhere: answers of MCP servers, pages."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from mcp_types import CallToolResult, ListToolsResult, jsonrpc_message_adapter
from pydantic import ValidationError

from engines.pdfs import pdf
from fuzz.layer import Layer
from fuzz.mutation import BytesMutator, JsonMutator
from fuzz.schema_layers import KEYWORDS, MEANT, detached
from fuzz.seeds import dumped
from vivavoce.core.messages import ServerResponse
from vivavoce.domain.content import Blob, ToolCall, ToolKind, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.chat import show_result
from vivavoce.engines.pages import MAX_TEXT_CHARS, extract_text
from vivavoce.errors import ToolError
from vivavoce.protocol.encode import encode_message
from vivavoce.tools.mcp.conversion import MAX_PARTS, is_work, outcome_of, schema_fault

# --- answers of MCP servers ----------------------------------------------------------------------

MOST_COUNTED = 12
"""More than so many of something is no other kind of outcome, else ever larger inputs were kept."""


def run_mcp(data: bytes) -> Hashable:
    """A message of an MCP server: what a tool brought back, and what the server lists."""
    try:
        message = jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValidationError:
        return None
    result = getattr(message, "result", None)
    if not isinstance(result, dict):
        return type(message).__name__
    return _listed(result) if "tools" in result else _answered(result)


def _answered(result: dict[str, Any]) -> Hashable:
    try:
        answer = CallToolResult.model_validate(result)
    except ValidationError as error:
        return "no answer", min(error.error_count(), MOST_COUNTED)
    is_work(answer)
    outcome = outcome_of(answer)
    assert outcome.response.keys() in ({"output"}, {"error"})
    assert len(outcome.parts) <= MAX_PARTS
    assert all(isinstance(part, Blob) for part in outcome.parts)
    call = ToolCall(CallId("1"), "f", {})
    assert encode_message(ServerResponse(call, ToolKind.MCP, outcome.response), enterprise=False)
    assert show_result(ToolResult(call.id, "f", outcome.response), 1000)
    return bool(outcome.failed), len(outcome.parts), min(len(answer.content), MOST_COUNTED)


def _listed(result: dict[str, Any]) -> Hashable:
    try:
        listed = ListToolsResult.model_validate(result)
    except ValidationError as error:
        return "no list", min(error.error_count(), MOST_COUNTED)
    return tuple(schema_fault(tool.input_schema)[:30] for tool in listed.tools[:4])


_MCP_NAMES = (
    "jsonrpc", "id", "result", "error", "content", "isError", "structuredContent", "type", "text",
    "data", "mimeType", "resource", "uri", "blob", "name", "title", "tools", "inputSchema",
    "description", "nextCursor", "method", "params", "_meta", "annotations", *KEYWORDS[:12],
)  # fmt: skip


def _mcp_seeds() -> list[bytes]:
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "hello"},
        {"type": "image", "data": "AAAA", "mimeType": "image/png"},
        {"type": "audio", "data": "A", "mimeType": "audio/wav"},
        {"type": "resource_link", "uri": "file:///x", "name": "x"},
        {"type": "resource", "resource": {"uri": "file:///x", "text": "words"}},
        {"type": "resource", "resource": {"uri": "file:///x", "blob": "AAAA"}},
    ]
    tool = {"name": "f", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    results: list[dict[str, Any]] = [
        {"content": blocks}, {"content": [], "structuredContent": {"a": [1, 2.5, None]}},
        {"content": blocks[:1], "isError": True}, {"tools": [tool, tool], "nextCursor": "x"},
        {"content": blocks[1:2] * 10}, {"tools": []},
    ]  # fmt: skip
    answers = [{"jsonrpc": "2.0", "id": 1, "result": result} for result in results]
    return dumped([*answers, {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}}])


# --- pages -------------------------------------------------------------------------------------

TYPES = (
    "text/html", "text/html; charset=shift_jis", "text/plain; charset=utf-16", "text/markdown",
    "application/json", "application/pdf", "", "application/xml; charset=x",
)  # fmt: skip


def run_page(data: bytes) -> Hashable:
    """The first byte chooses the type, the rest is the document."""
    kind = TYPES[(data[0] if data else 0) % len(TYPES)]
    try:
        reading = extract_text(data[1:], kind, "https://a.example/page")
    except ToolError as error:
        return kind, detached(str(error))[:60]
    assert reading.text.strip()
    assert len(reading.text) <= MAX_TEXT_CHARS
    (reading.text + reading.title + reading.link).encode()  # no halves of characters
    return kind, bool(reading.title), bool(reading.link), len(reading.text) > 50


def _page_seeds() -> list[bytes]:
    page = (
        b"<!doctype html><html><head><meta charset=utf-8><title>Bread</title>"
        b'<link rel=canonical href="https://a.example/b"></head><body><h1>Bread</h1><p>The loaf'
        b" rests for forty minutes before it goes into the oven.</p><table><tr><td>1</table></body>"
    )
    text = b'---\ntitle: "Tides"\nurl: https://a.example/t\n---\n# Heading\n\nHigh at noon.\n'
    documents = [page, page, text.decode().encode("utf-16"), text, b'{"a": [1, "b"]}']
    documents += [pdf("Hello there", title="Manual"), b"%PDF-1.4\n", b"<a>1</a>"]
    return [bytes((number,)) + document for number, document in enumerate(documents)]


_PAGE_TOKENS = (
    b"<p>", b"</p>", b"<div ", b"<!--", b"-->", b"<![CDATA[", b"<script>", b"</script>", b"<table>",
    b"<svg>", b"<meta charset=", b"utf-7", b"utf-16", b"<title>", b"<link rel=canonical href=",
    b"&#0;",
    b"&#xd800;", b"&lt;", b"&nbsp;", b'"', b"'", b"=", b">", b"\0", b"\xff", b"\xfe\xff",
    b"---\n", b"# ",
    b" obj\n", b"endobj", b"stream\n", b"endstream", b"<<", b">>", b"/Length ", b"/Kids [",
    b"R", b"trailer",
    b"startxref\n", b"xref\n", b"/Encrypt", b"/FlateDecode", b"/LZWDecode", b"/ToUnicode",
    b"9999999999",
    b"-1", b"BT", b"Tj", b"ET", b"/Filter", b"(", b")", b"[", b"]", b"/Count", b"/Parent 2 0 R",
)  # fmt: skip

MCP = Layer("mcp", run_mcp, _mcp_seeds, lambda: JsonMutator(_MCP_NAMES, MEANT[:8]))
PAGES = Layer("pages", run_page, _page_seeds, lambda: BytesMutator(_PAGE_TOKENS))
