"""Running a sample as a user does: `vivavoce run -- python sample.py`, with a sound device."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import psutil
import pytest

from conformance.seed import sample
from conformance.servers import Running, clean_environment, free_port
from conformance.wire import Tape, relay
from vivavoce.http import certificates

STANDINS = Path(__file__).parent / "standins"
NODE_PACKAGES = ("@google/genai", "wavefile")


@dataclass(slots=True)
class Sample:
    """A sample that runs, what it exchanges with the server, and what it played."""

    process: asyncio.subprocess.Process
    tape: Tape
    folder: Path

    @property
    def played(self) -> bytes:
        """Everything that its loudspeaker accepted so far."""
        path = self.folder / "played.pcm"
        return path.read_bytes() if path.exists() else b""

    async def until(self, met: Callable[[Sample], bool], within_s: float) -> None:
        """Wait for something. Fails with the sample's output when it doesn't come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        # What a program of somebody else's has done shows in files and frames: one has to look.
        while not met(self):
            if loop.time() > deadline:
                status = self.process.returncode
                state = "still runs" if status is None else f"ended with {status}"
                raise AssertionError(f"waited in vain; the sample {state}:\n{self.output}")
            await asyncio.sleep(0.05)

    @property
    def output(self) -> str:
        """What the sample printed."""
        return (self.folder / "output.txt").read_text(errors="replace")


@asynccontextmanager
async def running(
    name: str,
    server: Running,
    folder: Path,
    microphone: Path | None = None,
    source: str = "",
) -> AsyncIterator[Sample]:
    """A sample of the document, printed form, against a server, with a relay between.

    `source` is run instead of it, under its name.
    """
    (folder / name).write_text(source or sample(name))
    interpreter = "python"
    extra = {"STANDIN_SPEAKER": str(folder / "played.pcm"), "PYTHONUNBUFFERED": "1"}
    if name.endswith(".mjs"):
        interpreter = node()
        link_packages(folder)
    else:
        extra["PYTHONPATH"] = str(STANDINS / "python")
        extra["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if microphone:
        extra["STANDIN_MICROPHONE"] = str(microphone)
    port = free_port()
    extra["VIVAVOCE_SERVER__PORT"] = str(port)
    async with relay(server.socket_url, port, tls()) as tape:
        with (folder / "output.txt").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "vivavoce", "run", "--", interpreter, name,
                cwd=folder,
                env={**clean_environment(), **extra},
                # Left open: a program that pipes its input somewhere must not see it end.
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield Sample(process, tape, folder)
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what was started: the program under `vivavoce run`, which then ends by itself."""
    if process.returncode is not None:
        return
    for child in psutil.Process(process.pid).children(recursive=True):
        child.terminate()
    try:
        await asyncio.wait_for(process.wait(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()


def tls() -> ssl.SSLContext:
    """The certificate that `vivavoce run` makes clients trust."""
    authority = certificates.prepare_for_server("127.0.0.1", ())
    return certificates.server_context(authority.certificate, authority.key)


def node() -> str:
    """The path of Node. Skips the test where it is absent or too old for the SDK."""
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Node {version.stdout.strip()} is older than the SDK allows")
    return program


def link_packages(folder: Path) -> None:
    """A folder's `node_modules` with the newest SDK, and our stand-ins for the sound device."""
    modules = folder / "node_modules"
    modules.mkdir()
    installed = node_packages()
    for name in ("@google", "wavefile"):
        (modules / name).symlink_to(installed / name)
    for name in ("mic", "speaker"):
        (modules / name).symlink_to(STANDINS / "node" / name)


def node_packages() -> Path:
    """The folder into which npm installed the newest SDK; looked up once a day."""
    home = platformdirs.user_cache_path("vivavoce-tests") / "node"
    home.mkdir(parents=True, exist_ok=True)
    stamp = home / f"installed-{_today()}"
    if not stamp.exists():
        (home / "package.json").write_text('{ "private": true }\n')
        command = [str(shutil.which("npm")), "install", "--no-audit", "--no-fund", "--save"]
        wanted = [f"{name}@latest" for name in NODE_PACKAGES]
        done = subprocess.run([*command, *wanted], cwd=home, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm could not install {', '.join(NODE_PACKAGES)}: {done.stderr[-300:]}")
        stamp.touch()
    return home / "node_modules"


def _today() -> str:
    packages = hashlib.sha256(repr(NODE_PACKAGES).encode()).hexdigest()[:8]
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-{packages}"
