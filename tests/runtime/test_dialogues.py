"""Every dialogue on the host, with sound, by engines that obey and by engines that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.testing.check import check
from vivavoce.testing.host_stage import play
from vivavoce.testing.script import parse

DIALOGUES = sorted((Path(__file__).parent.parent / "dialogues").glob("*.txt"))

# A microphone chunk, a detector frame, and an energy gate that reacts within one.
SLACK_S = 0.15


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_host_holds_the_dialogue(path: Path) -> None:
    script = parse(path.read_text())
    polite = play(script)
    check(script.expectations, polite, SLACK_S)
    assert play(script, stubborn=True) == polite
