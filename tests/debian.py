"""Packages of Debian's archive, unpacked where tests find them; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

LIMIT_S = 40.0


def unpacked(packages: Sequence[str], folder: Path) -> bool:
    """Unpack the packages into `folder`, which is complete or absent; false if they can't be had.

    Where the system's package lists do not do, lists of our own are read first.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    work = folder.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    options = _options(work)
    own = [*options, *_own_lists(work)]
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


def _options(work: Path) -> list[str]:
    """Options by which the package client works inside `work`, without root."""
    for folder in ("cache/archives/partial", "state/lists/partial", "log"):
        (work / folder).mkdir(parents=True)
    settings = {
        "Dir::Cache": work / "cache",
        "Dir::Log": work / "log",
        "APT::Sandbox::User": "",
        "Acquire::Retries": "2",
        "Acquire::Languages": "none",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
        "Debug::NoLocking": "1",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _own_lists(work: Path) -> list[str]:
    """Options by which it reads package lists into `work`."""
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "APT::Update::Post-Invoke": "",
        "APT::Update::Post-Invoke-Success": "",
        "APT::Update::Error-Mode": "any",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
