"""`vivavoce voices`: the names, and how each sounds here."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from vivavoce.cli.main import app
from vivavoce.domain.setup import VOICES


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
