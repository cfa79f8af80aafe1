"""bubblewrap for the tests: the system's own, or the one in Debian's archive.

The package is unpacked under pytest's cache, nothing is installed. `tests/fetch.py` does that
before the tests; they do it themselves only if they are run without it. Where there is no
bubblewrap, and where this user may not make namespaces, tests skip and say which it is; the
second is told by the kernel, and not by what bubblewrap says of it.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from debian import unpacked
from vivavoce.engines import bubblewrap_process
from vivavoce.engines.bubblewrap import BubblewrapSandbox, create
from vivavoce.engines.bubblewrap_process import (
    NamespacesForbidden,
    namespaces_forbidden,
    own_interpreter,
)
from vivavoce.engines.sandbox_limits import SandboxLimits

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "bubblewrap"
NOT_HERE = "bubblewrap is not installed, and can't be fetched here"
FORBIDDEN = "user namespaces may not be made here"


def program(folder: Path = FOLDER) -> str:
    """Its path; skips where it can't be had or can't work."""
    if reason := lack(folder):
        pytest.skip(reason)
    return str(_had(folder))


@functools.cache
def lack(folder: Path = FOLDER) -> str:
    """Why there is none that works, empty if there is one; it is fetched into `folder` if need be.

    Found out once. Raises `EngineMissing` if there is one that doesn't work for another reason.
    """
    if _had(folder) is None:
        if _answer(namespaces_forbidden()):
            return FORBIDDEN
        if not unpacked(["bubblewrap"], folder):
            return NOT_HERE
    return "" if _answer(_works(str(_had(folder)))) else FORBIDDEN


def _had(folder: Path) -> Path | None:
    fetched = folder / "usr" / "bin" / "bwrap"
    own = shutil.which("bwrap")
    return Path(own) if own else fetched if fetched.exists() else None


async def _works(path: str) -> bool:
    try:
        sandbox = await create({"program": path}, None)  # type: ignore[arg-type]
    except NamespacesForbidden:
        return False
    await sandbox.aclose()
    return True


def _answer(question: Coroutine[object, object, bool]) -> bool:
    """The answer, from a thread of its own: a test that asks has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, question).result()


def build(
    workers: int = 2,
    time_s: float = 20,
    memory_mib: int = 512,
    output_bytes: int = 16 * 1024,
    calls: bytes = bubblewrap_process.system_call_filter() or b"",
) -> BubblewrapSandbox:
    """The engine, which isn't tried before it is used as `create` does; skips where it can't work.

    `calls` is its filter of system calls.
    """
    limits = SandboxLimits(workers, time_s, memory_mib, output_bytes)
    return BubblewrapSandbox(program(), own_interpreter(), limits, calls)
