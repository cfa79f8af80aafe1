"""Tool sets and utterances that share no declaration with `sets`, half of them spoken.

`CASES` holds what a user typed, and what the embedded recognizer made of what a user said: the
texts in `spoken.json`, written by `make_spoken.py`. Labels hold for what the user meant; where
the recognizer spells a name in its own way, that spelling is accepted as well. A recognizer's
mistake that loses a number or a word on which the choice depends is left in, as in real life.
"""

from __future__ import annotations

import json
from pathlib import Path

from vivavoce.domain.content import ToolDeclaration

from ..case import Case
from . import care, city, land, leisure, machines, money, work
from .labels import ToolSet, domain_declarations

SPOKEN_FILE = Path(__file__).with_name("spoken.json")

TOOL_SETS: dict[str, ToolSet] = {
    each.name: each
    for module in (care, land, work, money, leisure, machines, city)
    for each in module.SETS
}
SETS: dict[str, tuple[ToolDeclaration, ...]] = {
    name: domain_declarations(each.declarations) for name, each in TOOL_SETS.items()
}


def recognized() -> dict[str, str]:
    """What the recognizer returned for each spoken text."""
    entries = json.loads(SPOKEN_FILE.read_text("utf-8")) if SPOKEN_FILE.exists() else []
    return {entry["text"]: entry["recognized"] for entry in entries}


def _cases() -> tuple[Case, ...]:
    heard = recognized()
    typed = (each.case(name, each.text) for name, one in TOOL_SETS.items() for each in one.typed)
    spoken = (
        each.case(name, heard[each.text])
        for name, one in TOOL_SETS.items()
        for each in one.spoken
        if each.text in heard
    )
    return (*typed, *spoken)


CASES = _cases()
