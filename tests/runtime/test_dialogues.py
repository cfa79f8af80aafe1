"""Every dialogue on the host, with sound, by engines that obey and by engines that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.expectations import check_expectations
from support.host_runner import play_on_host
from support.script_parser import parse_script

DIALOGUES = sorted((Path(__file__).parent.parent / "dialogues").glob("*.txt"))

# A microphone chunk, a detector frame, and an energy gate that reacts within one.
SLACK_S = 0.15


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_host_holds_the_dialogue(path: Path) -> None:
    script = parse_script(path.read_text())
    polite = play_on_host(script)
    check_expectations(script.expectations, polite, SLACK_S)
    assert play_on_host(script, stubborn=True) == polite
