"""Who listens at an address already: nobody, a vivavoce, or something else.

Asked before anything is fetched or loaded, so that a port that is taken costs no waiting.
"""

from __future__ import annotations

import json
import socket

from vivavoce.cli.faults import Code, Fault
from vivavoce.cli.surroundings import place_of
from vivavoce.config import Config

ANSWER_S = 1.0


def taken(config: Config) -> Fault | None:
    """Why the server's address can't be had, where somebody answers there."""
    place = place_of(config)
    if not place.port or config.server.reuse_port:
        return None
    try:
        plain = socket.create_connection((place.host, place.port), ANSWER_S)
    except OSError:
        return None  # whatever else is wrong with the address, binding it tells
    with plain:
        try:
            about = ask(plain, "/version") or {}
        except OSError:
            about = {}
    cause = f"{config.server.host}:{config.server.port} is in use."
    if about.get("name") != "vivavoce":
        fix = "Another server runs there; stop it, or choose another --port."
        return Fault(Code.PORT_BUSY, cause, fix)
    cause = f"{cause} vivavoce {about.get('version')} answers there."
    return Fault(Code.PORT_BUSY, cause, "Use that one, stop it, or choose another --port.")


def ask(plain: socket.socket, path: str) -> dict[str, object] | None:
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
