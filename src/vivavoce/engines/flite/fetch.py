"""flite from Debian's own archive, for a user without root.

`apt-get download` checks the archive's signature exactly as an installation would; nothing
is installed and no script of the package is run: it is unpacked under the user's data
folder. Where the machine has no package lists (a fresh container), lists of our own are
fetched into a temporary folder first and thrown away afterwards.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from vivavoce.engines.flite.library import ENGINE
from vivavoce.errors import EngineMissing

Say = Callable[[str], None]
"""Told in plain sentences what is being done."""

FIX = "Install it with `apt-get install flite` or `brew install flite`."
_FLITE = ("libflite1",)
_ALSA = ("libasound2t64", "libasound2")  # newer releases use the first name
_LIMIT_S = 600
_LIBRARIES = "libflite*.so*", "libasound.so*"


def data_folder() -> Path:
    """Where the fetched library is kept."""
    return Path(platformdirs.user_data_dir("vivavoce", appauthor=False)) / "flite"


def fetched(folder: Path) -> bool:
    """Whether the library lies in `folder`."""
    return any(folder.glob("libflite.so.1"))


def can_fetch() -> bool:
    """Whether this machine has what it takes: Debian's tools."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def fetch(folder: Path, say: Say) -> Path:
    """The library in `folder`, fetched if it is not there yet. Blocks for some seconds.

    Leaves `folder` complete or absent, also when several processes do this at once. Raises
    `EngineMissing` with what the user can do when it can't be had.
    """
    if fetched(folder):
        return folder
    if not can_fetch():
        raise EngineMissing(ENGINE, "flite is not on this machine.", FIX)
    say("Fetching the voices (flite, 13 MB) from this system's package archive.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".flite-", dir=folder.parent) as name:
            work = Path(name)
            _download(work, say)
            ready = work / "ready"
            _gather(work, ready)
            _publish(ready, folder)
    except OSError as error:
        raise EngineMissing(
            ENGINE,
            f"The voices can't be put into {folder} ({error}).",
            f"Let that folder be writable, or set XDG_DATA_HOME to another. {FIX}",
        ) from error
    say(f"The voices are in {folder}.")
    return folder


def _download(work: Path, say: Say) -> None:
    """The packages, into `work`; with lists of our own if the system's do not do."""
    wanted = [_FLITE] if _system_has("libasound.so.2") else [_FLITE, _ALSA]
    options = _options(work)
    if all(_first_of(names, options, work) for names in wanted):
        return
    say("This system's package lists are absent or old: reading them first (about 10 MB).")
    own = [*options, *_own_lists(work)]
    updated = _apt([*own, "update"], work)
    for names in wanted:
        if not _first_of(names, own, work):
            raise EngineMissing(
                ENGINE,
                f"The package {names[-1]} could not be fetched ({_reason(updated)}).",
                f"Connect this machine to the network and start again. {FIX}",
            )


def _options(work: Path) -> list[str]:
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
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "APT::Update::Post-Invoke": "",
        "APT::Update::Post-Invoke-Success": "",
        "APT::Update::Error-Mode": "any",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _first_of(names: Sequence[str], options: Sequence[str], work: Path) -> bool:
    return any(_apt([*options, "download", name], work).returncode == 0 for name in names)


def _apt(arguments: Sequence[str], work: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["apt-get", "-q", *arguments],
            cwd=work,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        late = f"E: no answer in {_LIMIT_S} s"
        return subprocess.CompletedProcess(list(arguments), 1, "", late)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """What the package client complained of first, for the user's eyes only."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[0].removeprefix("E: ").rstrip(".") if lines else "it is not in the lists"


def _system_has(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _gather(work: Path, ready: Path) -> None:
    """The libraries and the copyright notes of all packages, in one flat folder."""
    ready.mkdir()
    for package in sorted(work.glob("*.deb")):
        tree = work / f"{package.stem}-tree"
        unpacked = subprocess.run(
            ["dpkg-deb", "-x", str(package), str(tree)],
            capture_output=True,
            text=True,
            errors="replace",
        )
        if unpacked.returncode:
            raise EngineMissing(
                ENGINE,
                f"The package {package.name} can't be unpacked ({_reason(unpacked)}).",
                f"Check the mirror or proxy that the package client uses. {FIX}",
            )
        for pattern in _LIBRARIES:
            for path in tree.rglob(pattern):
                shutil.copy2(path, ready / path.name, follow_symlinks=False)
        for note in tree.glob("usr/share/doc/*/copyright"):
            shutil.copy2(note, ready / f"copyright.{note.parent.name}")


def _publish(ready: Path, folder: Path) -> None:
    try:
        ready.rename(folder)
    except OSError:
        if fetched(folder):  # another process was quicker
            return
        shutil.rmtree(folder, ignore_errors=True)
        ready.rename(folder)
