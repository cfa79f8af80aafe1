"""A server in a process of its own, for benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

START_S = 180


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server: where it is reached, its process, and the file of its log lines."""

    url: str
    process_id: int
    log: Path


@contextmanager
def run_server(
    log: Path,
    port: int,
    *,
    model: str = "",
    speculation: bool | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[LiveServer]:
    """A server with embedded engines on `port`, stopped at the end.

    `settings` are configuration keys in the environment's spelling, without their prefix.
    Raises `SystemExit` if it does not become ready.
    """
    chosen = {"LOG__FORMAT": "json", "LOG__LEVEL": "info", "SESSION__TURN_COMPLETE": "immediate"}
    if speculation is not None:
        chosen["SESSION__SPECULATION"] = str(speculation).lower()
    chosen |= settings or {}
    environment = os.environ | {f"VIVAVOCE_{key}": value for key, value in chosen.items()}
    command = [sys.executable, "-m", "vivavoce", "serve", "--port", str(port)]
    if model:
        command += ["--model", model]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stderr=file, stdout=file)
        try:
            wait_until_ready(process, port, log)
            yield LiveServer(f"http://127.0.0.1:{port}", process.pid, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the server's readiness. Raises `SystemExit` with the end of its log."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.25)
    raise SystemExit(f"The server did not become ready.\n{log.read_text('utf-8')[-2000:]}")
