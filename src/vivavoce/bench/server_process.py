"""The measured server as a process of this machine: started here, or found; its CPU and memory."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from vivavoce.client.session import ServerUnreachable
from vivavoce.errors import ConfigError
from vivavoce.install_hints import install_command

START_S = 180.0
SAMPLE_S = 0.5


# --- a server of our own -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server: where it is reached, its process, and the file of its log lines."""

    url: str
    process_id: int
    log: Path


@contextmanager
def run_server(
    log: Path,
    port: int = 0,
    *,
    model: str = "",
    settings: Mapping[str, str] | None = None,
) -> Iterator[LiveServer]:
    """Run a server with embedded engines on `port`, or on a free one; stop it at the end.

    `settings` are configuration keys in the environment's spelling, without their prefix.
    Raises `ServerUnreachable` if it does not become ready.
    """
    port = port or _free_port()
    chosen = {"LOG__FORMAT": "json", "LOG__LEVEL": "info"}
    chosen |= settings or {}
    environment = os.environ | {f"VIVAVOCE_{key}": value for key, value in chosen.items()}
    command = [sys.executable, "-m", "vivavoce", "serve", "--port", str(port)]
    if model:
        command += ["--model", model]
    with log.open("wb") as file:
        # In a session of its own: Ctrl-C ends the measurement, and that ends the server.
        process = subprocess.Popen(
            command, env=environment, stderr=file, stdout=file, start_new_session=True
        )
        try:
            wait_until_ready(process, port, log)
            yield LiveServer(f"http://127.0.0.1:{port}", process.pid, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for a server's readiness. Raises `ServerUnreachable` with the end of its log."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        address = f"http://127.0.0.1:{port}/readyz"
        with suppress(URLError, OSError), urlopen(address, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.25)
    end = log.read_text("utf-8", errors="replace")[-2000:].strip()
    raise ServerUnreachable("The server did not become ready.", f"Its log ends:\n{end}")


# --- CPU and memory ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What a server and the processes it started have used: CPU in seconds, memory in bytes."""

    at: float
    cpu_s: float
    resident: int


@dataclass(slots=True)
class ProcessSampler:
    """Samples a process while sessions run. The first sample is of the server before them."""

    process_id: int
    samples: list[ProcessSample] = field(default_factory=list)

    def take_sample(self, at: float) -> bool:
        """Add a sample; `False` once the process is gone."""
        library = _import_psutil()
        try:
            process = library.Process(self.process_id)
            cpu_s, resident = 0.0, 0
            for each in (process, *process.children(recursive=True)):
                with suppress(library.NoSuchProcess):
                    times = each.cpu_times()
                    cpu_s += times.user + times.system
                    resident += each.memory_info().rss
        except library.Error:
            return False
        self.samples.append(ProcessSample(at, cpu_s, resident))
        return True

    async def run(self) -> None:
        """Sample until cancelled, or until the process is gone."""
        loop = asyncio.get_running_loop()
        while self.take_sample(loop.time()):  # noqa: ASYNC110  (a process has no event)
            await asyncio.sleep(SAMPLE_S)

    @property
    def cores(self) -> float:
        """The mean number of cores that were busy."""
        if len(self.samples) < 2:
            return 0.0
        first, last = self.samples[0], self.samples[-1]
        return (last.cpu_s - first.cpu_s) / max(1e-9, last.at - first.at)

    @property
    def peak_bytes(self) -> int:
        return max((sample.resident for sample in self.samples), default=0)

    @property
    def grown_bytes(self) -> int:
        """The memory at its peak above that before the sessions."""
        return self.peak_bytes - self.samples[0].resident if self.samples else 0


def check_process(process_id: int) -> None:
    """Raise `ConfigError` if there is no such process, or nothing to measure it with."""
    if not can_measure_processes():
        fix = f"Run `{install_command('psutil')}`."
        raise ConfigError("psutil, which measures processes, is not installed.", fix)
    if not _import_psutil().pid_exists(process_id):
        raise ConfigError(f"There is no process {process_id}.", "Give the server's --pid.")


def can_measure_processes() -> bool:
    """Return whether psutil is installed, without which the CPU and memory stay unknown."""
    return find_spec("psutil") is not None


def find_listener(port: int) -> int | None:
    """Return the process that listens on a port of this machine, if that can be seen."""
    try:
        library = _import_psutil()
        found = library.net_connections(kind="tcp")
    except (ImportError, OSError, RuntimeError):
        return None
    except Exception as error:  # psutil's own: on macOS only root may ask
        if type(error).__module__.startswith("psutil"):
            return None
        raise
    for each in found:
        if each.status == library.CONN_LISTEN and each.laddr.port == port and each.pid:
            return int(each.pid)
    return None


def _import_psutil() -> Any:
    return import_module("psutil")
