"""Options that several commands share, and the server's address that they give."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from vivavoce.cli.errors import CliError, ErrorCode
from vivavoce.config.settings import Config, base_url, is_loopback
from vivavoce.errors import ConfigError

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of a server on this machine.")]
Url = Annotated[str, typer.Option("--url", help="Base URL of the server, instead of the port.")]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="VIVAVOCE_KEY", help="API key of the server; default: its configured one."
    ),
]

PORT_PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The server's address as a client on this machine sees it."""

    host: str
    port: int
    url: str


def server_address(config: Config, url: str = "") -> ServerAddress:
    """Return the address of the configured server, or of the one at `url`.

    The server's port on this machine speaks TLS too, and Python's SDK nothing else, so that the
    `http` address of one becomes the `https` one. Raises `ConfigError` for a bad `url`.
    """
    if url:
        return _address_at(url, config.server.tls.enabled)
    url = base_url(config.server.host, config.server.port)
    scheme = "https" if config.server.tls.enabled else "http"
    host = url.removeprefix("http://").rpartition(":")[0].strip("[]")
    return ServerAddress(host, config.server.port, url.replace("http", scheme, 1))


def _address_at(url: str, tls: bool) -> ServerAddress:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{url!r} is not the address of a Live server.",
            "Give a base URL such as http://127.0.0.1:8482.",
        )
    port = port or (443 if parts.scheme == "https" else 80)
    scheme = "https" if tls and is_loopback(host) else parts.scheme
    return ServerAddress(host, port, f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}")


def check_port(config: Config) -> None:
    """Raise `CliError` if something answers at the address where a server is to listen.

    Called before anything is fetched or loaded, so that a busy port fails at once.
    """
    address = server_address(config)
    if not address.port or config.server.reuse_port:
        return
    try:
        plain = socket.create_connection((address.host, address.port), PORT_PROBE_TIMEOUT_S)
    except OSError:
        return  # any other fault of the address is reported when it is bound
    with plain:
        try:
            about = get_json(plain, "/version") or {}
        except OSError:
            about = {}
    problem = f"{config.server.host}:{config.server.port} is in use."
    fix = "Another server runs there; stop it, or choose another --port."
    if about.get("name") == "vivavoce":
        problem = f"{problem} vivavoce {about.get('version')} answers there."
        fix = "Use that one, stop it, or choose another --port."
    raise CliError(ErrorCode.PORT_BUSY, problem, fix)


def get_json(plain: socket.socket, path: str) -> dict[str, object] | None:
    """Return a JSON object read over plain HTTP; `None` for any other answer. Raises `OSError`."""
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while len(answer) < 1_000_000 and (more := plain.recv(65536)):
        answer += more
    try:
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
