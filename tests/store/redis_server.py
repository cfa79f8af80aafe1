"""A real Redis server for the tests: the system's own, or the one in Debian's archive.

`tests/fetch.py` fetches it before the tests. A server listens on a free port of loopback, keeps
nothing on disk, and ends with the test that started it; it may be stopped and started again.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from debian import unpacked

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "redis"
NOT_HERE = "Redis is not installed, and can't be fetched here"
_PACKAGES = (
    "redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-cjson", "lua-bitop", "libatomic1",
)  # fmt: skip
"""The program `redis-server` is a second name of one of the tools."""

START_S = 10.0


def program() -> str | None:
    """Its path, fetched if need be; `None` where it can't be had."""
    if own := shutil.which("redis-server"):
        return own
    tool = FOLDER / "usr" / "bin" / "redis-check-rdb"
    if not tool.exists() and not unpacked(_PACKAGES, FOLDER):
        return None
    server = tool.with_name("redis-server")
    if not server.is_symlink():
        server.symlink_to(tool.name)
    return str(server)


class RedisServer:
    """One server, always on the same port; `options` as on its command line."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and wait until it answers."""
        if (command := program()) is None:
            pytest.skip(NOT_HERE)
        libraries = [str(each) for each in FOLDER.glob("usr/lib/*-linux-gnu")]
        self._process = subprocess.Popen(
            [
                *(command, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *self._options,
            ],
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def hang(self) -> None:
        """It takes connections, as its kernel does, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A server that runs while the block does."""
    server = RedisServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
