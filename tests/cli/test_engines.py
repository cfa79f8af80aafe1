"""`vivavoce engines` and `vivavoce voices`, for scripts and for people."""

from __future__ import annotations

import json
from functools import partial

import pytest
from rich.console import Console
from typer.testing import CliRunner

from vivavoce.cli.engines import profiles_by_engine
from vivavoce.cli.main import COMMANDS, app
from vivavoce.config.loading import load_config
from vivavoce.domain.setup import VOICES
from vivavoce.engines.registry import BUILTIN, load_factory, parse_choice
from vivavoce.errors import ConfigError


def test_every_engine_is_listed_with_the_profiles_that_use_it() -> None:
    result = CliRunner().invoke(app, ["engines", "--json"])

    listed = {each["name"]: each for each in json.loads(result.stdout)}
    assert set(BUILTIN) <= set(listed)
    assert listed["model.llamacpp"] == {
        "name": "model.llamacpp",
        "description": "Qwen2.5-Coder or any GGUF file, in this process",
        "source": "built in",
        "profiles": ["embedded"],
    }


def test_piped_output_is_plain() -> None:
    result = CliRunner().invoke(app, ["engines"])

    heading, *lines = result.stdout.splitlines()
    assert heading == "name\tdescription\tsource\tprofiles"
    assert (
        "search.local\tyour own documents, as `vivavoce index` reads them\tbuilt in\t[tools]"
        in lines
    )


def test_a_terminal_shows_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    console = partial(Console, force_terminal=True, width=200)
    monkeypatch.setattr("vivavoce.cli.errors.Console", console)

    assert "[tools]" in CliRunner().invoke(app, ["engines"]).stdout


def test_fallbacks_count_as_used() -> None:
    assert profiles_by_engine(load_config())["synthesizer.espeak"] == ["embedded"]


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_engine_can_be_imported(name: str) -> None:
    assert callable(load_factory(name))


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("synthesizer.oracle", "hibari"),
        ("oracle.hibari", "detector"),
        ("model.vivavoce.errors:nothing", "package.module:function"),
    ],
)
def test_a_name_that_leads_nowhere_is_reported_with_the_choices(name: str, fix: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_factory(name)
    assert fix in error.value.fix


def test_a_table_without_use_is_reported() -> None:
    with pytest.raises(ConfigError, match="lacks `use`"):
        parse_choice({"voice": "Kore"})


def test_help_lists_every_command() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout

    assert [name for name in COMMANDS if f" {name} " not in text] == []


def test_a_command_that_cannot_be_loaded_is_a_fault_and_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(COMMANDS, "gone", "vivavoce.cli.gone:gone")

    assert isinstance(CliRunner().invoke(app, ["gone"]).exception, ModuleNotFoundError)


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("vivavoce 0.")


def test_a_line_a_voice_with_its_sound() -> None:
    heading, *lines = CliRunner().invoke(app, ["voices"]).stdout.splitlines()
    assert heading == "voice\tsound"
    sounds = dict(line.split("\t") for line in lines)
    assert tuple(sounds) == VOICES
    assert sounds["Kore"] == "woman, 180 Hz, even pace"
    assert sounds["Puck"] == "man, 123 Hz, quick pace"
    assert sounds["Vindemiatrix"] == "woman, 170 Hz, slow pace"


def test_json_has_names_and_sounds() -> None:
    told = json.loads(CliRunner().invoke(app, ["voices", "--json"]).stdout)
    assert told["voices"] == list(VOICES)
    assert told["default"] == "Puck"
    assert set(told["sounds"]) == set(VOICES)
