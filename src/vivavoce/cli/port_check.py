"""Find what listens at an address already: nothing, a vivavoce, or another server.

Asked before anything is fetched or loaded, so that a port that is taken costs no waiting.
"""

from __future__ import annotations

import json
import socket

from vivavoce.cli.environment import server_address
from vivavoce.cli.errors import CliError, ErrorCode
from vivavoce.config import Config

ANSWER_S = 1.0


def find_port_conflict(config: Config) -> CliError | None:
    """Why the server's address can't be had, where something answers there."""
    address = server_address(config)
    if not address.port or config.server.reuse_port:
        return None
    try:
        plain = socket.create_connection((address.host, address.port), ANSWER_S)
    except OSError:
        return None  # whatever else is wrong with the address, binding it tells
    with plain:
        try:
            about = get_json(plain, "/version") or {}
        except OSError:
            about = {}
    problem = f"{config.server.host}:{config.server.port} is in use."
    if about.get("name") != "vivavoce":
        fix = "Another server runs there; stop it, or choose another --port."
        return CliError(ErrorCode.PORT_BUSY, problem, fix)
    problem = f"{problem} vivavoce {about.get('version')} answers there."
    return CliError(
        ErrorCode.PORT_BUSY, problem, "Use that one, stop it, or choose another --port."
    )


def get_json(plain: socket.socket, path: str) -> dict[str, object] | None:
    """A JSON answer over plain HTTP; `None` for anything else. Raises `OSError`."""
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while len(answer) < 1_000_000 and (more := plain.recv(65536)):
        answer += more
    try:
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
