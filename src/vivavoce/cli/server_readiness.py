"""Wait for a server that answers already and whose engines still load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from vivavoce.client.live import Endpoint

ANSWER_S = 2.0
"""How long one probe may take."""

PAUSE_S = 0.5
"""Between two probes."""

LONGEST_START_S = 180.0
"""After this long the session is tried all the same, and its error says more."""

STARTING = "starting"


def wait_until_ready(
    endpoint: Endpoint, report: Callable[[str], None], timeout_s: float = LONGEST_START_S
) -> None:
    """Return when no part of the server at `endpoint` is starting any more.

    `report` gets one sentence if there is something to wait for. Whatever else is wrong, and a
    server without `/readyz`, is left to the session that is opened next. Raises `ConfigError` for
    a bad address.
    """
    deadline = time.monotonic() + timeout_s
    waiting = False
    with httpx2.Client(verify=endpoint.tls() or False, timeout=ANSWER_S, trust_env=False) as web:
        while starting := _starting_parts(web, f"{endpoint.web_url}/readyz"):
            if not waiting:
                report(f"The server is still starting ({', '.join(starting)}); waiting for it.")
            waiting = True
            if time.monotonic() >= deadline:
                return
            time.sleep(PAUSE_S)


def _starting_parts(web: httpx2.Client, url: str) -> list[str]:
    """Names of the parts that still start; empty once one has failed, or if nothing is known."""
    try:
        answer = web.get(url)
        report = answer.json() if answer.status_code == 503 else {}
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
