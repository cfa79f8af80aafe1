"""Real servers in processes of their own, as a user starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

START_S = 120.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready. `process` may be told to stop by the test that started it."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def lines(self, folder: Path, *command: str, wait_s: float = 60) -> list[str]:
        """What a program prints that runs in `folder`, by `vivavoce run`, against this server."""
        done = subprocess.run(
            [sys.executable, "-m", "vivavoce", "run", "--", *command],
            env={**clean_environment(), "VIVAVOCE_SERVER__PORT": str(self.port)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=wait_s,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@contextmanager
def serving(profile: str | None, **settings: str) -> Iterator[Running]:
    """`vivavoce serve`, with a profile if one is named; `settings` are environment variables."""
    with serving_on(free_port(), profile, settings) as running:
        yield running


@contextmanager
def serving_on(port: int, profile: str | None, settings: dict[str, str]) -> Iterator[Running]:
    """The same on this port. What it keeps is gone with it, unless settings name another place."""
    chosen = [] if profile is None else ["--profile", profile]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "vivavoce", "serve", *chosen, "--port", str(port)],
                env={**clean_environment(), "VIVAVOCE_STORE__PATH": f"{folder}/state", **settings},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            _wait_until_ready(process, port, log)
            yield Running(port, process, log)
        finally:
            stop(process)
            if process.returncode not in (0, -9, -15):
                sys.stderr.write(log.read_text(errors="replace")[-4000:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask for an end, and insist when it doesn't come."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def clean_environment() -> dict[str, str]:
    """The environment without anything that would point a client or a server elsewhere."""
    prefixes = ("VIVAVOCE_", "GOOGLE_", "GEMINI_", "SSL_CERT_", "NODE_EXTRA_")
    return {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                # Another may answer on a port that is shared: it must say so itself, too.
                if answer.status == 200 and b"vivavoce serves" in log.read_bytes():
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready:\n{log.read_text(errors='replace')}")
