"""The table of the tool ledger's cells and the dialogues that play them, each in the other."""

from __future__ import annotations

import re
from pathlib import Path

DIALOGUES = Path(__file__).parent.parent / "dialogues"
KINDS = ("blocking", "non-blocking", "served")


def rows() -> list[list[str]]:
    """The cells of every row of the table of the ledger."""
    table = (DIALOGUES / "README.md").read_text().split("## Everything else")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["what happens", *KINDS]
    return cells[2:]


def test_every_dialogue_stands_in_the_table_and_every_name_is_a_dialogue() -> None:
    text = (DIALOGUES / "README.md").read_text()
    named = {
        name for row in re.findall(r"^\|.*$", text, re.M) for name in re.findall(r"`(\w+)`", row)
    }
    assert named - {"clientContent", "turnComplete"} == {p.stem for p in DIALOGUES.glob("*.txt")}


def test_every_cell_is_played_or_says_why_it_cannot_happen() -> None:
    reasons = set(re.findall(r"^(\d+)\. ", (DIALOGUES / "README.md").read_text(), re.M))
    assert len(rows()) > 25
    for row in rows():
        assert len(row) == 4, row
        for cell in row[1:]:
            given = set(re.findall(r"\((\d+)\)", cell))
            assert given <= reasons, row
            assert re.search(r"`\w+`", cell) or given, row
