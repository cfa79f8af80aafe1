"""Knowing when enough was said: a small model left alone goes on, and then goes round."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")
_NUMBERED = re.compile(r"(?:^|\s)\d+[.)]$")


class Brevity:
    """Watches an answer. `enough` after a sentence's end, when it is long or repeats itself."""

    def __init__(self, most_pieces: int) -> None:
        self._most = most_pieces
        self._pieces = 0
        self._text = ""

    def shown(self, piece: str) -> str:
        """A piece as it is to be passed on: nothing before the first word."""
        if not self._text:
            piece = piece.lstrip()
        if piece:
            self._pieces += 1
            self._text += piece
        return piece

    @property
    def enough(self) -> bool:
        said = self._text.rstrip().rstrip("\"'”’)")
        if not said.endswith((".", "!", "?")) or _NUMBERED.search(said):
            return False
        sentences = _END.split(said)
        return self._pieces >= self._most or sentences[-1] in sentences[:-1]
