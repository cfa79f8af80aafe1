"""The dialogues of tests/dialogues on their first stage: the bare core."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.core_runner import CoreRunner
from support.expectations import check_expectations
from support.script_parser import parse_script

DIALOGUES = sorted((Path(__file__).parent.parent / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    stage = CoreRunner(parse_script(path.read_text()))
    check_expectations(stage.script.expectations, stage.run())
