"""Convert MCP tools to function declarations, and MCP results to tool outcomes.

The list is untrusted: it may be endless, hold thousands of tools, and schemas that are none,
are huge, or lead to other hosts (a validator would fetch them). What can't be offered is left
out and logged; the rest works. A schema is held to the same rules as one of a client's.

A structured result goes before the words, which then only repeat it. Everything is cut to what a
conversation can bear: a model that has to read a megabyte doesn't speak. A structured result is
serialized only as far as it is kept, and an image decoded only if it is kept."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from vivavoce.domain.content import Blob, Json, ToolOutcome
from vivavoce.domain.json_schema import find_fault, normalize_draft
from vivavoce.tools.mcp.settings import McpServerSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

log = logging.getLogger(__name__)

MAX_TOOLS = 128
MAX_PAGES = 32
MAX_SCHEMA = 32_768
MAX_DESCRIPTION = 4096

MAX_TEXT = 20_000
MAX_ERROR = 500
MAX_PARTS = 8
_MAX_QUICK_BLOCKS = 100


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """A tool by its server's name for it; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Json


async def list_tools(client: Client, spec: McpServerSpec) -> tuple[RemoteTool, ...]:
    """List the server's tools that `spec` allows and that can be offered, in its order."""
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += (tool for tool in page.tools if not spec.allow or tool.name in spec.allow)
        cursor = page.next_cursor
        if cursor is None or len(found) > MAX_TOOLS:
            break
    if len(found) > MAX_TOOLS or cursor is not None:
        log.warning(
            "MCP server lists too many tools", extra={"server": spec.name, "kept": MAX_TOOLS}
        )
    for missing in sorted(spec.allow - {tool.name for tool in found}):
        log.warning("MCP server lacks a tool", extra={"server": spec.name, "tool": missing})
    return tuple(_offered(found[:MAX_TOOLS], spec))


def _offered(tools: Sequence[Tool], spec: McpServerSpec) -> Iterator[RemoteTool]:
    seen = set()
    for tool in tools:
        fault, parameters = _parameters(tool.input_schema)
        if tool.name in seen:
            fault = "a name that was there before"
        seen.add(tool.name)
        if fault:
            facts = {"server": spec.name, "tool": tool.name[:128], "problem": fault}
            log.warning("MCP tool is left out", extra=facts)
            continue
        description = (tool.description or tool.title or "")[:MAX_DESCRIPTION]
        yield RemoteTool(tool.name, description, parameters)


def _parameters(schema: Json) -> tuple[str, Json]:
    """Return what is wrong with a schema, and the schema as it is read: many mix drafts."""
    fault = schema_fault(schema)
    if not fault:
        return "", schema
    try:
        mended = normalize_draft(schema, lambda sentence: None)
    except RecursionError:
        return fault, schema
    return schema_fault(mended), mended


def schema_fault(schema: Json) -> str:
    """Return why this is no schema of a function's arguments; empty if it is one."""
    try:
        if len(json.dumps(schema, separators=(",", ":"))) > MAX_SCHEMA:
            return f"a schema of more than {MAX_SCHEMA} bytes"
    except RecursionError:
        return "a schema that is nested too deeply"
    if (fault := find_fault(schema)) is not None:
        return f"a schema that is wrong at {fault.pointer[:80]}: {fault.problem}"
    return ""


# --- results -------------------------------------------------------------------------------------


def outcome_of(result: CallToolResult) -> ToolOutcome:
    """Return `{"output": ...}` or `{"error": sentence}`, with images and audio as parts."""
    words, parts = _read_blocks(result.content)
    text = "\n".join(words)
    if result.is_error:
        problem = cut_text(text, MAX_ERROR) or "The tool failed and did not say why."
        return ToolOutcome(response={"error": problem}, failed=problem)
    if result.structured_content is None:
        return ToolOutcome(response={"output": cut_text(text, MAX_TEXT)}, parts=parts)
    start = _json_beyond(result.structured_content, MAX_TEXT)
    if start is not None:
        return ToolOutcome(response={"output": f"{start} [cut here]"}, parts=parts)
    return ToolOutcome(response={"output": result.structured_content}, parts=parts)


def is_work(result: CallToolResult) -> bool:
    """Return whether `outcome_of` may block an event loop for too long."""
    words = all(isinstance(block, TextContent) for block in result.content[:_MAX_QUICK_BLOCKS])
    return bool(result.structured_content) or len(result.content) > _MAX_QUICK_BLOCKS or not words


def _json_beyond(value: object, length: int) -> str | None:
    """Return the first `length` characters of the value as JSON; `None` if it is shorter."""
    pieces: list[str] = []
    count = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        count += len(piece)
        if count > length:
            return "".join(pieces)[:length]
    return None


def cut_text(text: str, length: int) -> str:
    """Cut the text to `length`, with a note where something is left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]} [cut here; {len(text)} characters in all]"


def _read_blocks(content: Sequence[ContentBlock]) -> tuple[list[str], tuple[Blob, ...]]:
    words: list[str] = []
    parts: list[Blob] = []
    for block in content:
        said, blob = _read_block(block, len(parts) < MAX_PARTS)
        if said:
            words.append(said)
        if blob is not None:
            parts.append(blob)
    return words, tuple(parts)


def _read_block(block: ContentBlock, room: bool) -> tuple[str, Blob | None]:
    """Return a block as words, and as bytes if it has any and there is room for them."""
    match block:
        case TextContent():
            return block.text, None
        case ImageContent() | AudioContent():
            return _blob(block.data, block.mime_type, room)
        case ResourceLink():
            return f"{block.title or block.name}: {block.uri}", None
        case EmbeddedResource(resource=BlobResourceContents() as resource):
            kind = resource.mime_type or "application/octet-stream"
            return _blob(resource.blob, kind, room)
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text, None
    raise AssertionError("unreachable")


def _blob(data: str, mime_type: str, room: bool) -> tuple[str, Blob | None]:
    if not room:
        return f"[{mime_type} left out]", None
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return f"[{mime_type} that can't be read]", None
    return f"[{mime_type} attached]", Blob(decoded, mime_type)
