"""Wait for a server that is still starting: first for its port, then for its engines."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from vivavoce.client.session import ServerEndpoint
from vivavoce.config import is_loopback

ANSWER_S = 2.0
"""How long one probe may take."""

PAUSE_S = 0.5
"""Between two probes."""

LISTENER_S = 10.0
"""How long to wait for a port of this machine that refuses connections: on two busy cores a server
listens after 7 to 8 s, on idle ones after 2."""

UNANSWERED_S = 20.0
"""How long probes may stay unanswered, as on a busy machine while engines load."""

LONGEST_START_S = 180.0
"""After this long the session is tried all the same, and its error says more."""

STARTING = "starting"


def wait_until_ready(
    endpoint: ServerEndpoint, report: Callable[[str], None], timeout_s: float = LONGEST_START_S
) -> None:
    """Return when no part of the server at `endpoint` is starting any more.

    `report` gets a sentence for each thing to wait for. Whatever else is wrong, and a server
    without `/readyz`, is left to the session that is opened next. Raises `ConfigError` for a bad
    address.
    """
    _wait_for_listener(endpoint.web_url, report)
    deadline = time.monotonic() + timeout_s
    answered = time.monotonic()
    waiting = False
    with httpx2.Client(verify=endpoint.tls() or False, timeout=ANSWER_S, trust_env=False) as web:
        while True:
            try:
                starting = ", ".join(_starting_parts(web, f"{endpoint.web_url}/readyz"))
                answered = time.monotonic()
            except httpx2.TimeoutException:
                starting = "no answer yet"
            now = time.monotonic()
            if not starting or now >= deadline or now - answered >= UNANSWERED_S:
                return
            if not waiting:
                report(f"The server is still starting ({starting}); waiting for it.")
            waiting = True
            time.sleep(PAUSE_S)


def accepts_connections(url: str) -> bool:
    """Whether a server listens at the address of `url`."""
    try:
        _connect(url)
    except OSError:
        return False
    return True


def _connect(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname or "", port), ANSWER_S).close()


def _wait_for_listener(url: str, report: Callable[[str], None]) -> None:
    """Return when the port is open, or was refused for `LISTENER_S`.

    Only on this machine, where a refusal is immediate and a server may have been started just now.
    """
    if not is_loopback(urlsplit(url).hostname or ""):
        return
    deadline = time.monotonic() + LISTENER_S
    waiting = False
    while _is_refused(url):
        if not waiting:
            report(f"No server answers at {url} yet; waiting {LISTENER_S:g} s for one to start.")
        waiting = True
        if time.monotonic() >= deadline:
            return
        time.sleep(PAUSE_S)


def _is_refused(url: str) -> bool:
    try:
        _connect(url)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _starting_parts(web: httpx2.Client, url: str) -> list[str]:
    """Names of the parts that still start; empty once one has failed, or if nothing is known.

    Raises `httpx2.TimeoutException`.
    """
    try:
        answer = web.get(url)
        report = answer.json() if answer.status_code == 503 else {}
    except httpx2.TimeoutException:
        raise
    except (httpx2.HTTPError, ValueError):
        return []
    parts = report.get("parts") if isinstance(report, Mapping) else None
    found = parts.items() if isinstance(parts, Mapping) else ()
    states = {name: _state(part) for name, part in found}
    if "failed" in states.values():
        return []
    return [name for name, state in states.items() if state == STARTING]


def _state(part: Any) -> str:
    return str(part.get("state", "")) if isinstance(part, Mapping) else ""
