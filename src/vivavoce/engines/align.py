"""Which words go with which sound.

Every piece of sound carries the words that begin in it, so that a transcript can be shown
beside the sound and cut where the listener stopped listening. Whatever happens, the texts
of all pieces together equal the text that was spoken.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

_WORD = re.compile(r"(?<!\s)\s*+\S+")


@dataclass(frozen=True, slots=True)
class Mark:
    """From `offset` in the text on, the words are spoken at `start_s`."""

    offset: int
    start_s: float


class Timeline:
    """The words of one text against the time at which each begins. Taken from front to back."""

    def __init__(self, text: str, marks: Sequence[Mark]) -> None:
        self._text = text
        self._marks = marks
        self._next = 0
        self._taken = 0

    def until(self, end_s: float) -> str:
        """The words not yet taken that begin before `end_s`."""
        while self._next < len(self._marks) and self._marks[self._next].start_s < end_s:
            self._next += 1
        if self._next < len(self._marks):
            return self._take(self._marks[self._next].offset)
        return self.rest()

    def rest(self) -> str:
        """All that was not yet taken."""
        return self._take(len(self._text))

    def _take(self, end: int) -> str:
        start, self._taken = self._taken, max(self._taken, end)
        return self._text[start : self._taken]


def marks_of_groups(
    text: str, starts: Sequence[float], count_groups: Callable[[str], int]
) -> list[Mark]:
    """Marks from the start times, in seconds, of a synthesizer's own words.

    `count_groups` tells how many of those one written word becomes ("$5" is two); it is asked
    for words that are not of plain letters. Where the sum is another than there are times,
    words are placed one to one, or in proportion.
    """
    words = list(_WORD.finditer(text))
    if not words or not starts:
        return []
    counts = [_group_count(word.group().strip(), count_groups) for word in words]
    if sum(counts) != len(starts) == len(words):
        counts = [1] * len(words)
    scale = len(starts) / max(1, sum(counts))
    places = accumulate([0, *counts[:-1]])
    return [
        Mark(word.start(), starts[min(round(place * scale), len(starts) - 1)])
        for word, place in zip(words, places, strict=True)
    ]


def _group_count(word: str, count_groups: Callable[[str], int]) -> int:
    letters = word.strip(".,;:!?\"'()“”‘’")
    return 1 if letters.isascii() and letters.isalpha() else count_groups(word)


def estimated_marks(text: str, duration_s: float) -> list[Mark]:
    """Marks for a synthesizer that tells no times: a word takes time by its length."""
    size = max(1, len(text))
    return [Mark(m.start(), duration_s * m.start() / size) for m in _WORD.finditer(text)]


class Realigner:
    """Gives the original words for spoken ones: "$5" for "5 dollars".

    Words that both texts have in common tie them together; between ties the original goes
    on in proportion. Taken from front to back.
    """

    def __init__(self, original: str, spoken: str) -> None:
        self._original = original
        self._ties = _ties(original, spoken)
        self._spoken_taken = 0
        self._taken = 0

    def take(self, spoken_part: str) -> str:
        """The original words that belong to the next part of the spoken text."""
        self._spoken_taken += len(spoken_part)
        return self._advance(self._place(self._spoken_taken))

    def rest(self) -> str:
        """All of the original that was not yet taken."""
        return self._advance(len(self._original))

    def _place(self, spoken_end: int) -> int:
        before = (0, 0)
        for tie in self._ties:
            if tie[0] >= spoken_end:
                span = max(1, tie[0] - before[0])
                share = (spoken_end - before[0]) / span
                guess = before[1] + round(share * (tie[1] - before[1]))
                return tie[1] if tie[0] == spoken_end else self._boundary(guess, before[1])
            before = tie
        return len(self._original)

    def _boundary(self, place: int, floor: int) -> int:
        """The nearest white space at or before `place`, so that no word is cut in two."""
        while place > floor and not self._original[place : place + 1].isspace():
            place -= 1
        return place

    def _advance(self, end: int) -> str:
        start, self._taken = self._taken, max(self._taken, end)
        return self._original[start : self._taken]


def _ties(original: str, spoken: str) -> list[tuple[int, int]]:
    """Offsets (spoken, original) at which a run of common words begins or ends."""
    theirs, ours = list(_WORD.finditer(spoken)), list(_WORD.finditer(original))
    if original == spoken:
        return [(m.start(), m.start()) for m in ours] + [(len(spoken), len(original))]
    matcher = difflib.SequenceMatcher(
        None, [_key(m.group()) for m in theirs], [_key(m.group()) for m in ours], autojunk=False
    )
    ties = []
    for a, b, size in matcher.get_matching_blocks():
        ties += [(theirs[a + i].start(), ours[b + i].start()) for i in range(size)]
        if size:
            last = a + size - 1, b + size - 1
            ties.append((theirs[last[0]].end(), ours[last[1]].end()))
    return [*sorted(set(ties)), (len(spoken), len(original))]


def _key(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()
