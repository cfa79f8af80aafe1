"""The dialogues of tests/dialogues on their first stage: the bare core."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.testing.bare_stage import BareStage
from vivavoce.testing.check import check
from vivavoce.testing.script import parse

DIALOGUES = sorted((Path(__file__).parent.parent / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    stage = BareStage(parse(path.read_text()))
    check(stage.script.expectations, stage.run())
