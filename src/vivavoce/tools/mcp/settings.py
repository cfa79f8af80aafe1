r"""Settings of MCP servers, from the configuration and from clients.

A server of `[tools.mcp.NAME]` is the operator's own choice and may be a program that is started
here. A server that a client names makes this machine send requests for a stranger, so it is
refused unless the operator listed its origin: scheme, host and port, compared exactly, as the HTTP
library that will connect reads them. An entry of a client's \`mcpServers\` with a name alone asks
for a configured server that is offered only on request. A client may only shorten the times: it
must not hold a conversation's tools longer than the server's own limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import httpx2
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vivavoce.domain.content import Json
from vivavoce.errors import INVALID, POLICY, ClientFault, ConfigError, nearest_name

CONNECT_S = 5.0
CONNECT_PROGRAM_S = 30.0
"""A program may have to be unpacked first, and is connected to in the background."""
CALL_S = 30.0

_SERVER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]{0,8190}[\x21-\x7e])?)?")
_MIN_SECRET_CHARS = 4
_TRANSPORT_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host",
     "last-event-id", "te", "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip
"""Headers that the transport sets; `host` would lead to another site behind the same address."""

MAX_SERVERS = 8
MAX_CALL_S = 120.0
_MIN_S = 0.1


@dataclass(frozen=True, slots=True)
class McpServerSpec:
    """One MCP server: reached at `url`, or started as `command` and spoken to by its pipes.

    `prefix` goes before the names of its tools, `allow` are the tools that are offered (all, if
    empty; by the server's own names). `connect_s` bounds connecting and listing, `timeout_s` one
    call. `on_request` offers its tools only to conversations that name it. `terminate` ends the
    server's session when the connection closes. Headers and `env` may hold secrets.
    """

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    prefix: str = ""
    allow: frozenset[str] = frozenset()
    connect_s: float = CONNECT_S
    timeout_s: float = CALL_S
    on_request: bool = False
    terminate: bool = True

    def masked(self, text: str) -> str:
        """Return an error's words without this server's secrets, which libraries may quote."""
        address = httpx2.URL(self.url)
        cleaned = text.replace(address.query.decode("ascii"), "…") if address.query else text
        for secret in sorted({*self.headers.values(), *self.env.values()}, key=len, reverse=True):
            if len(secret) >= _MIN_SECRET_CHARS:
                cleaned = cleaned.replace(secret, "…")
        return cleaned


@dataclass(frozen=True, slots=True)
class McpSettings:
    """The configured servers, and the origins of those that a client may bring."""

    servers: tuple[McpServerSpec, ...] = ()
    client_origins: frozenset[str] = frozenset()


_Seconds = Annotated[float, Field(gt=0, le=600)]


class _ServerTable(BaseModel):
    """`[tools.mcp.NAME]` as it is written."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = ""
    command: list[str] = []
    headers: dict[str, str] = {}
    headers_env: dict[str, str] = {}
    env: dict[str, str] = {}
    env_pass: list[str] = []
    prefix: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_.:-]{0,31})?$")
    tools: list[str] = []
    connect_s: _Seconds | None = None
    timeout_s: _Seconds = CALL_S
    offer: Literal["always", "asked"] = "always"


def read_settings(
    servers: Mapping[str, Any] | None = None, clients: Sequence[Any] = ()
) -> McpSettings:
    """Read the tables under `[tools.mcp]`, and the list `[tools] mcp_clients`.

    Raises `ConfigError` naming every fault.
    """
    faults: list[str] = []
    specs = [_spec(name, table, faults) for name, table in (servers or {}).items()]
    origins = set()
    for each in clients:
        origin = origin_of(each) if isinstance(each, str) else None
        if origin is None or httpx2.URL(each).path not in ("", "/"):
            faults.append(f"mcp_clients: {each!r} is not an origin such as https://example.org")
        else:
            origins.add(origin)
    if faults:
        raise ConfigError(
            f"The MCP servers are set up wrongly: {'; '.join(faults)}.",
            'A server needs url = "https://host/mcp" or command = ["program", "argument"].',
        )
    return McpSettings(tuple(spec for spec in specs if spec), frozenset(origins))


def _spec(name: str, value: object, faults: list[str]) -> McpServerSpec | None:
    before = len(faults)
    try:
        table = TypeAdapter(_ServerTable).validate_python(value)
    except ValidationError as error:
        for each in error.errors():
            where = ".".join((name, *map(str, each["loc"])))
            if each["type"] == "extra_forbidden":
                near = nearest_name(str(each["loc"][-1]), _ServerTable.model_fields)
                hint = f" (did you mean `{near}`?)" if near else ""
                faults.append(f"{where}: there is no such setting{hint}")
            else:
                faults.append(f"{where}: {each['msg']}")
        return None
    if not _SERVER_NAME.fullmatch(name):
        faults.append(f"{name!r} is no name: a letter or _, then letters, digits, _ and -")
    if bool(table.url) == bool(table.command):
        faults.append(f"{name} needs either url or command")
    if table.url and origin_of(table.url) is None:
        faults.append(f"{name}.url is not an http address without a user name in it")
    unset = [each for each in (*table.headers_env.values(), *table.env_pass)
             if each not in os.environ]  # fmt: skip
    faults += [f"{name}: the environment variable {each} is not set" for each in unset]
    headers = table.headers | {key: os.environ.get(v, "") for key, v in table.headers_env.items()}
    faults += [f"{name}.headers: {each}" for each in header_faults(headers)]
    if len(faults) > before:
        return None
    return McpServerSpec(
        name=name,
        url=table.url,
        command=tuple(table.command),
        headers=headers,
        env={each: os.environ[each] for each in table.env_pass} | table.env,
        prefix=table.prefix,
        allow=frozenset(table.tools),
        connect_s=table.connect_s or (CONNECT_PROGRAM_S if table.command else CONNECT_S),
        timeout_s=table.timeout_s,
        on_request=table.offer == "asked",
    )


def origin_of(url: str) -> str | None:
    """Return `scheme://host[:port]` of an http address in one spelling; `None` if it is none.

    An address with a user name is none: it would be sent as a password.
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    port = parsed.port
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        return None
    if "%" in parsed.host or (port is not None and not 0 < port < 65536):
        return None
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.raw_host.decode()
    return f"{parsed.scheme}://{host}" + (f":{port}" if port is not None else "")


def header_faults(headers: Mapping[str, str]) -> list[str]:
    """Return the faults of headers to be sent, without their values."""
    faults = []
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            faults.append(f"{name[:64]!r} is not a header that can be sent")
        elif name.lower() in _TRANSPORT_HEADERS or name.lower().startswith("mcp-"):
            faults.append(f"{name} is set by the transport")
    return faults


# --- servers of a client -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientServers:
    """MCP servers that a client defines, and the names of configured ones that it requests."""

    specs: tuple[McpServerSpec, ...] = ()
    names: tuple[str, ...] = ()


def read_request(options: Sequence[Json], settings: McpSettings) -> ClientServers:
    """Read the `options` of every `mcpServers` tool of a message, as the decoder made them.

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
    """Return the options without servers of the client's own, whose headers hold its secrets."""
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
    """Return a refusal by the operator's settings, with as much reason as a close frame holds."""
    enabled = "Operation is not enabled"
    return ClientFault(POLICY, f"{enabled}: {problem}", f"{enabled}.")
