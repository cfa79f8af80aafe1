"""What a client's `mcpServers` ask for, checked against what the operator allows.

An entry with a transport is a server of the client's own; one with a name alone asks for a
configured server that is offered only on request. Times are the client's to shorten: it may not
hold a conversation's tools longer than the server's own limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import Json
from vivavoce.errors import INVALID, POLICY, ClientFault
from vivavoce.tools.mcp.settings import (
    CALL_S,
    CONNECT_S,
    McpServerSpec,
    McpSettings,
    header_faults,
    origin_of,
)

MAX_SERVERS = 8
MAX_CALL_S = 120.0
_MIN_S = 0.1


@dataclass(frozen=True, slots=True)
class ClientServers:
    """The servers that a client brings, and the names of configured ones that it asks for."""

    own: tuple[McpServerSpec, ...] = ()
    names: tuple[str, ...] = ()


def read_request(options: Sequence[Json], settings: McpSettings) -> ClientServers:
    """The `options` of every `mcpServers` tool of a message, as the decoder made them.

    Raises `ClientFault` that names what is not allowed here.
    """
    entries = [entry for each in options for entry in each.get("mcpServers", ())]
    if len(entries) > MAX_SERVERS:
        raise ClientFault(
            INVALID, f"{len(entries)} MCP servers; at most {MAX_SERVERS} are allowed."
        )
    own: dict[str, McpServerSpec] = {}
    names: list[str] = []
    for number, entry in enumerate(entries):
        name = str(entry.get("name", "")) or f"mcp{number + 1}"
        transport = entry.get("streamableHttpTransport")
        if name in own or name in names:
            raise ClientFault(INVALID, f"Duplicate MCP server found: {name[:60]}")
        if transport is None:
            names.append(_configured(name, settings))
        else:
            own[name] = _own(name, transport, settings)
    return ClientServers(tuple(own.values()), tuple(names))


def names_only(options: Json) -> Json:
    """The options without servers of the client's own, whose headers hold its secrets."""
    entries = options.get("mcpServers", ())
    asked = [entry for entry in entries if entry.get("streamableHttpTransport") is None]
    return {"mcpServers": [{"name": str(entry.get("name", ""))} for entry in asked]}


def _configured(name: str, settings: McpSettings) -> str:
    if all(spec.name != name for spec in settings.servers):
        raise refused_server(
            f"the MCP server {name[:40]!r} has no transport and is not configured here."
        )
    return name


def _own(name: str, transport: Mapping[str, Any], settings: McpSettings) -> McpServerSpec:
    url = str(transport.get("url", ""))
    origin = origin_of(url)
    if origin is None:
        raise ClientFault(
            INVALID, f"The url of the MCP server {name[:40]!r} is not an http address."
        )
    if not settings.client_origins:
        raise refused_server("MCP servers of clients are not enabled here (mcp_clients).")
    if origin not in settings.client_origins:
        raise refused_server(f"the origin of the MCP server {name[:40]!r} is not in mcp_clients.")
    headers = dict(transport.get("headers") or {})
    if faults := header_faults(headers):
        raise ClientFault(INVALID, f"MCP server {name[:40]!r}: {faults[0]}.")
    wait = _seconds(transport, "timeout")
    longest = max((s for s in (wait, _seconds(transport, "sseReadTimeout")) if s), default=CALL_S)
    return McpServerSpec(
        name=name,
        url=url,
        headers=headers,
        connect_s=min(wait or CONNECT_S, CONNECT_S),
        timeout_s=min(longest, MAX_CALL_S),
        terminate=bool(transport.get("terminateOnClose", True)),
    )


def _seconds(transport: Mapping[str, Any], key: str) -> float | None:
    value = transport.get(key)
    return max(float(value), _MIN_S) if value else None


def refused_server(problem: str) -> ClientFault:
    """A refusal by the operator's settings, with the reason in what room a close frame has."""
    enabled = "Operation is not enabled"
    return ClientFault(POLICY, f"{enabled}: {problem}", f"{enabled}.")
