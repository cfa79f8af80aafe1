"""bubblewrap for the tests: the system's own, or the one in Debian's archive.

    python tests/engines/bwrap.py      fetch it, unless it is there

The package is unpacked under pytest's cache, nothing is installed. `scripts/test.py` does that
before the tests; they do it themselves only if they are run without it. Where there is no
bubblewrap, and where this user may not make namespaces, tests skip and say which it is; the
second is told by the kernel, and not by what bubblewrap says of it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vivavoce.engines.bubblewrap import BubblewrapSandbox, NamespacesForbidden, create, seccomp
from vivavoce.engines.bubblewrap.interpreter import servers_own
from vivavoce.engines.bubblewrap.namespaces import forbidden
from vivavoce.engines.flite import fetch
from vivavoce.engines.sandboxes import Limits

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "bubblewrap"
NOT_HERE = "bubblewrap is not installed, and can't be fetched here"
FORBIDDEN = "user namespaces may not be made here"
_LIMIT_S = 40.0


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
        if _answer(forbidden()):
            return FORBIDDEN
        if not fetch.can_fetch() or not _fetch(folder):
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


def _fetch(folder: Path) -> bool:
    """Unpack the package, with package lists of our own if the system's do not do."""
    work = folder.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    options = fetch._options(work)
    own = [*options, *fetch._own_lists(work)]
    try:
        if not _apt(work, *options, "download", "bubblewrap"):
            _apt(work, *own, "update")
            _apt(work, *own, "download", "bubblewrap")
        packages = list(work.glob("bubblewrap_*.deb"))
        if packages:
            tree = work / "tree"
            subprocess.run(["dpkg-deb", "-x", packages[0], tree], check=True, timeout=_LIMIT_S)
            tree.rename(folder)
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return bool(packages)


def _apt(work: Path, *arguments: str) -> bool:
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        cwd=work,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LIMIT_S,
    )
    return done.returncode == 0


def build(
    workers: int = 2,
    time_s: float = 20,
    memory_mib: int = 512,
    output_bytes: int = 16 * 1024,
    calls: bytes = seccomp.program() or b"",
) -> BubblewrapSandbox:
    """The engine, which isn't tried before it is used as `create` does; skips where it can't work.

    `calls` is its filter of system calls.
    """
    limits = Limits(workers, time_s, memory_mib, output_bytes)
    return BubblewrapSandbox(program(), servers_own(), limits, calls)


if __name__ == "__main__":
    absent = lack()
    sys.stdout.write(f"{absent or _had(FOLDER)}\n")
    raise SystemExit(absent == NOT_HERE)
