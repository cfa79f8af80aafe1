"""Packages of Debian's archive, unpacked where tests find them; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vivavoce.engines.flite import fetch

LIMIT_S = 40.0


def unpacked(packages: Sequence[str], folder: Path) -> bool:
    """Unpack the packages into `folder`, which is complete or absent; false if they can't be had.

    Where the system's package lists do not do, lists of our own are read first.
    """
    if not fetch.can_fetch():
        return False
    work = folder.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    options = fetch._options(work)
    own = [*options, *fetch._own_lists(work)]
    try:
        if not _apt(work, *options, "download", *packages):
            _apt(work, *own, "update")
            _apt(work, *own, "download", *packages)
        files = list(work.glob("*.deb"))
        if len(files) < len(packages):
            return False
        for file in files:
            unpack = ["dpkg-deb", "-x", str(file), str(work / "tree")]
            subprocess.run(unpack, check=True, timeout=LIMIT_S)
        (work / "tree").rename(folder)
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def _apt(work: Path, *arguments: str) -> bool:
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        cwd=work,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
    )
    return done.returncode == 0
