"""User turns without words, by which clients say "go on".

LiveKit ends every request for an answer with a user turn ".", Pipecat and ADK send such a text; the
protocol knows `turnComplete` alone for it. The dot is not what the user said.
"""

from __future__ import annotations

from dataclasses import replace

from vivavoce.domain.content import Content, Role, Text

PUNCTUATION = frozenset(".,;:!?…-–—'\"()")
LONGEST_MARKS = 64


def only_punctuation(text: str) -> bool:
    """Whether a short text has no words in it."""
    marks = (char.isspace() or char in PUNCTUATION for char in text)
    return len(text) <= LONGEST_MARKS and all(marks)


def is_bare(content: Content) -> bool:
    """Whether this is a turn of the user's without words, or anything else in it."""
    if content.role is not Role.USER or len(content.parts) > LONGEST_MARKS:
        return False
    return all(isinstance(p, Text) and only_punctuation(p.text) for p in content.parts)


def without_bare_end(turns: tuple[Content, ...]) -> tuple[Content, ...]:
    """The turns without bare ones at their end.

    Where nothing but turns of the model's is before them, those say what the answer is to be: they
    become what the user asks for, since no model takes orders from its own words.
    """
    end = len(turns)
    while end and is_bare(turns[end - 1]):
        end -= 1
    kept = turns[:end]
    if end < len(turns) and kept and all(turn.role is Role.MODEL for turn in kept):
        return tuple(replace(turn, role=Role.USER) for turn in kept)
    return kept
