"""Layers of what strangers describe and bring: schemas and calls, answers of MCP servers, pages."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import orjson
from mcp_types import CallToolResult, ListToolsResult, jsonrpc_message_adapter
from pydantic import ValidationError

from engines.pdfs import pdf
from fuzz.layer import Layer
from fuzz.mutation import BytesMutator, JsonMutator
from fuzz.seeds import dumped
from fuzz.wire_layers import refusal
from vivavoce.core.messages import ServerResponse
from vivavoce.domain.content import Blob, ToolCall, ToolDeclaration, ToolKind, ToolResult, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.json_schema import find_fault
from vivavoce.engines.calls import Misfit, check_calls
from vivavoce.engines.chat.messages import shown
from vivavoce.engines.pages import MAX_TEXT_CHARS, readable
from vivavoce.errors import ClientFault, ToolError
from vivavoce.protocol.encode import encode
from vivavoce.protocol.schema import json_schema
from vivavoce.tools.mcp.listing import schema_fault
from vivavoce.tools.mcp.results import MAX_PARTS, is_work, outcome_of

_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+|[{\[].*")

# --- schemas -----------------------------------------------------------------------------------

KEYWORDS = (
    "type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "oneOf", "not",
    "$ref", "$defs", "defs", "ref", "definitions", "$schema", "$id", "$anchor", "$dynamicRef",
    "if", "then", "else", "dependentSchemas", "dependencies", "dependentRequired", "prefixItems",
    "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "patternProperties",
    "propertyNames", "contains", "minContains", "uniqueItems", "pattern", "format", "minimum",
    "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength", "minItems", "nullable",
    "minProperties", "default", "examples", "title", "any_of", "propertyOrdering", "a", "b",
)  # fmt: skip
MEANT = (
    "string", "number", "integer", "boolean", "array", "object", "null", "STRING", "OBJECT", "#",
    "#/$defs/a", "#/properties/a", "#/defs/a", "#/$defs/0", "#/a~1b", "#/%2524", "#/" + "9" * 5000,
    "http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#",
    "https://json-schema.org/draft/2019-09/schema", "^a+$", "(a+)+$", "[", "date-time", "a", "b",
    {"$ref": "#"}, {"not": {"$ref": "#"}}, {"type": "string"}, {"type": ["string", "null"]},
    ["a", "b"], {"a": {"type": "integer"}}, {"enum": [1, "a", None]}, {"const": 1}, 10.0,
    "aaaaaaaa!",
)  # fmt: skip


def run_schema(data: bytes) -> Hashable:
    """A declaration in either form, and a call with arguments against it."""
    try:
        case = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    schema = case.get("schema") if isinstance(case, dict) else None
    if not isinstance(schema, dict):
        return None
    found: list[Hashable] = []
    if case.get("api"):
        try:
            schema = json_schema(schema, "p", lambda path, name: None)
        except ClientFault as fault:
            return refusal(fault)
    if (wrong := find_fault(schema)) is not None:
        assert wrong.pointer.startswith("#")
        return _DETAIL.sub("", wrong.problem)[:30]
    tools = Tools((ToolDeclaration("f", parameters=schema),))
    [call] = check_calls([ToolCall(CallId("1"), "f", case.get("args"))], tools)
    if isinstance(call, Misfit):
        found.append(_DETAIL.sub("", str(call).partition(": ")[2])[:40])
    else:
        assert isinstance(call.args, dict)
        orjson.dumps(call.args)
    return bool(case.get("api")), tuple(found)


def _case(schema: Any, args: Any, api: bool = False) -> dict[str, Any]:
    return {"schema": schema, "args": args, "api": api}


def _schema_seeds() -> list[bytes]:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tree = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    every = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 1, "multipleOf": 2},
            "b": {"anyOf": [{"type": "string", "pattern": "^x"}, {"type": "null"}]},
            "c": {"type": "array", "items": {"enum": ["a", 1]}, "uniqueItems": True},
            "d": {"allOf": [{"type": "object", "additionalProperties": False}]},
        },
    }
    api = {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING", "nullable": True, "enum": ["x"]}},
    }
    return dumped([
        _case(city, {"city": "Zürich"}), _case(tree, {"tree": {"next": {"next": {}}}}),
        _case(every, {"a": 2.0, "b": None, "c": ["a", 1], "d": {}}), _case(api, {"a": "x"}, True),
        _case({"type": "object", "not": {"$ref": "#"}}, {}), _case({}, {"a": 1}),
        _case({"$schema": MEANT[17], "items": [{"type": "string"}],
        "dependencies": {"a": ["b"]}}, {}),
        _case({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False}, {"a": 1}),
        _case({"patternProperties": {"^a": {"type": "number"}}, "propertyNames": {"maxLength": 3}},
              {"abc": 1}),
        _case({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
               "$defs": {"a": {"type": "object"}, "b": False}}, {}),
    ])  # fmt: skip


# --- answers of MCP servers ----------------------------------------------------------------------


def run_mcp(data: bytes) -> Hashable:
    """A message of an MCP server: what a tool brought back, and what the server lists."""
    try:
        message = jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValidationError:
        return None
    result = getattr(message, "result", None)
    if not isinstance(result, dict):
        return type(message).__name__
    found: list[Hashable] = []
    try:
        answer = CallToolResult.model_validate(result)
    except ValidationError:
        found.append("no answer")
    else:
        is_work(answer)
        outcome = outcome_of(answer)
        assert outcome.response.keys() in ({"output"}, {"error"})
        assert len(outcome.parts) <= MAX_PARTS
        assert all(isinstance(part, Blob) for part in outcome.parts)
        call = ToolCall(CallId("1"), "f", {})
        assert encode(ServerResponse(call, ToolKind.MCP, outcome.response), enterprise=False)
        assert shown(ToolResult(call.id, "f", outcome.response), 1000)
        found.append((bool(outcome.failed), len(outcome.parts), len(answer.content)))
    try:
        listed = ListToolsResult.model_validate(result)
    except ValidationError:
        found.append("no list")
    else:
        faults = (schema_fault(tool.input_schema) for tool in listed.tools[:8])
        found.append(tuple(fault[:20] for fault in faults))
    return tuple(found)


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
        reading = readable(data[1:], kind, "https://a.example/page")
    except ToolError as error:
        return kind, _DETAIL.sub("", str(error))[:60]
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

SCHEMAS = Layer(
    "schemas", run_schema, _schema_seeds, lambda: JsonMutator((*KEYWORDS, "args", "api"), MEANT)
)
MCP = Layer("mcp", run_mcp, _mcp_seeds, lambda: JsonMutator(_MCP_NAMES, MEANT[:8]))
PAGES = Layer("pages", run_page, _page_seeds, lambda: BytesMutator(_PAGE_TOKENS))
