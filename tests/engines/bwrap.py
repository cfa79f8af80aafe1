"""bubblewrap for the tests: the system's own, or the one in Debian's archive.

The package is unpacked under pytest's cache, nothing is installed. Where there is neither, and
where this user may not make namespaces, tests skip and say which it is.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vivavoce.engines.bubblewrap import BubblewrapSandbox, create
from vivavoce.engines.flite import fetch
from vivavoce.errors import EngineMissing

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "bubblewrap"
_LIMIT_S = 40.0
_NOT_HERE = "bubblewrap is not installed, and can't be fetched here"


@functools.cache
def program() -> str:
    """Its path; skips where there is none."""
    fetched = FOLDER / "usr" / "bin" / "bwrap"
    found = shutil.which("bwrap") or (str(fetched) if fetched.exists() else None)
    if found is None and fetch.can_fetch() and _fetch():
        found = str(fetched)
    if found is None:
        pytest.skip(_NOT_HERE)
    return found


def _fetch() -> bool:
    """Unpack the package, with package lists of our own if the system's do not do."""
    work = FOLDER.with_suffix(".new")
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
            subprocess.run(["dpkg-deb", "-x", packages[0], FOLDER], check=True, timeout=_LIMIT_S)
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


async def build(**settings: object) -> BubblewrapSandbox:
    """The engine; skips where it can't be had."""
    try:
        return await create({"program": program(), **settings}, None)  # type: ignore[arg-type]
    except EngineMissing as missing:
        if "namespace" in missing.problem or "uid map" in missing.problem:
            pytest.skip(f"bubblewrap may not make namespaces here ({missing.problem})")
        raise
