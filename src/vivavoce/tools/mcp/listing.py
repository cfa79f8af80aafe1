"""The tools that a server lists, as far as they can be offered.

The list is a stranger's: it may be endless, hold thousands of tools, and schemas that are none,
are huge, or lead to other hosts (a validator would fetch them). What can't be offered is left
out and logged; the rest works. A schema is held to the same rules as one of a client's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vivavoce.domain.content import Json
from vivavoce.domain.json_schema import find_fault
from vivavoce.domain.schema_drafts import with_draft_mended
from vivavoce.tools.mcp.settings import McpServerSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

log = logging.getLogger(__name__)

MAX_TOOLS = 128
MAX_PAGES = 32
MAX_SCHEMA = 32_768
MAX_DESCRIPTION = 4096


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """A tool as its server calls it; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Json


async def list_tools(client: Client, spec: McpServerSpec) -> tuple[RemoteTool, ...]:
    """All tools of the server that `spec` allows and that can be offered, in its order."""
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += (tool for tool in page.tools if not spec.allow or tool.name in spec.allow)
        cursor = page.next_cursor
        if cursor is None or len(found) > MAX_TOOLS:
            break
    if len(found) > MAX_TOOLS or cursor is not None:
        log.warning("MCP server lists too many tools: server=%s kept=%d", spec.name, MAX_TOOLS)
    for missing in sorted(spec.allow - {tool.name for tool in found}):
        log.warning("MCP server lacks a tool: server=%s tool=%s", spec.name, missing)
    return tuple(_offered(found[:MAX_TOOLS], spec))


def _offered(tools: Sequence[Tool], spec: McpServerSpec) -> Iterator[RemoteTool]:
    seen = set()
    for tool in tools:
        fault, parameters = _parameters(tool.input_schema)
        if tool.name in seen:
            fault = "a name that was there before"
        seen.add(tool.name)
        if fault:
            log.warning("MCP tool is left out: server=%s tool=%s fault=%s",
                        spec.name, tool.name[:128], fault)  # fmt: skip
            continue
        description = (tool.description or tool.title or "")[:MAX_DESCRIPTION]
        yield RemoteTool(tool.name, description, parameters)


def _parameters(schema: Json) -> tuple[str, Json]:
    """What is wrong with a schema, and the schema as it is read: many mix drafts."""
    fault = schema_fault(schema)
    if not fault:
        return "", schema
    try:
        mended = with_draft_mended(schema, lambda sentence: None)
    except RecursionError:
        return fault, schema
    return schema_fault(mended), mended


def schema_fault(schema: Json) -> str:
    """Why this is no schema of a function's arguments; empty if it is one."""
    try:
        if len(json.dumps(schema, separators=(",", ":"))) > MAX_SCHEMA:
            return f"a schema of more than {MAX_SCHEMA} bytes"
    except RecursionError:
        return "a schema that is nested too deeply"
    if (fault := find_fault(schema)) is not None:
        return f"a schema that is wrong at {fault.pointer[:80]}: {fault.problem}"
    return ""
