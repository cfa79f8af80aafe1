"""What the README tells to type can be typed, from the root of a checkout."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from vivavoce.cli.main import COMMANDS, app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\$ (.*)$", README, re.MULTILINE)


def test_every_command_is_where_the_scripts_put_it() -> None:
    typed = [shlex.split(line) for line in LINES]
    assert {words[0] for words in typed} == {"python3", ".venv/bin/vivavoce"}
    for program, first, *_ in typed:
        assert (ROOT / first).is_file() if program == "python3" else first in COMMANDS
    assert not re.findall(r"`vivavoce (?!run`)[^`]*`", README), "it is not on anybody's PATH"


def test_recordings_that_are_said_are_there() -> None:
    said = [words[words.index("--in") + 1] for words in map(shlex.split, LINES) if "--in" in words]
    assert said
    assert all((ROOT / path).is_file() for path in said)


def test_what_a_first_user_has_to_know_is_there() -> None:
    start, _, own_program = README.partition("## Use it from your own program")
    for words in ("Ctrl-C", "`--once`", "`--port 9000`", "GB of disk", "of memory"):
        assert words in start
    for words in ("speaks only TLS", "pip install google-genai", "on your PATH", "`--url http://"):
        assert words in own_program


@pytest.mark.parametrize("command", ["run", "env", "talk", "say"])
def test_every_way_to_a_server_takes_an_address(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "120"}).output
    assert "--url" in shown


def test_every_arrow_of_the_pictures_has_its_head() -> None:
    """A path has one marker, at its very end, however many strokes it draws."""
    arrows = [
        element.get("d", "M")
        for path in (ROOT / "docs" / "images").glob("*.svg")
        for element in ElementTree.parse(path).iter()
        if element.get("class") == "a"
    ]
    assert len(arrows) > 20
    assert {drawn.count("M") for drawn in arrows} == {1}
