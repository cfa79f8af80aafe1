"""Which words of an answer its sources support, and where these words stand.

An answer is taken sentence by sentence. A source supports a sentence when it holds all its
numbers and most of its words that carry meaning; the share of those words is the confidence.
A sentence that no source supports gets no support: nothing is claimed that was not found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.core.messages import Support
from vivavoce.domain.evidence import Source

ENOUGH = 0.6
"""Share of a sentence's words that a source must hold."""

FEWEST = 2
"""Words and numbers with meaning that a sentence needs for anything to support it."""

_ABBREVIATED = (
    r"(?<!\bvs)(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bNo)(?<!\bcf)(?<!\bMrs)(?<!\betc)"
    r"(?<!\b[A-Za-z])"
)
"""A point after these ends no sentence; nor does one after a single letter."""
_SENTENCE = re.compile(
    rf"[^\s.!?…].*?(?:(?:{_ABBREVIATED}\.|[!?…])+[\"'”’)]*(?=\s|$)|\n|$)", re.DOTALL
)
_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_EMPTY = frozenset(
    _WORD.findall(
        "the and that this with from have has had was were are been for not but its their they"
        " them than then there here when what which who where how will would could should about"
        " into over after before also some most more very just only according found"
    )
)


def supports(text: str, sources: Sequence[Source]) -> tuple[Support, ...]:
    """The sentences of `text` that `sources` support, in order."""
    known = [frozenset(_words(f"{source.title} {source.text}")) for source in sources]
    found = []
    for match in _SENTENCE.finditer(text):
        sentence = match.group()
        words = _words(sentence)
        if len(words) < FEWEST:
            continue
        shares = [(place, _share(words, held)) for place, held in enumerate(known)]
        held_by = [(place, share) for place, share in shares if share >= ENOUGH]
        if held_by:
            sentence = sentence.rstrip()
            start = len(text[: match.start()].encode())
            end = start + len(sentence.encode())
            places, confidence = zip(*held_by, strict=True)
            found.append(Support(start, end, sentence, places, confidence))
    return tuple(found)


def _share(words: list[str], held: frozenset[str]) -> float:
    """How much of a sentence a source holds; nothing, if one of its numbers is not there."""
    if any(word[0].isdigit() and word not in held for word in words):
        return 0.0
    return round(sum(word in held for word in words) / len(words), 3)


def _words(text: str) -> list[str]:
    """The words that carry meaning, and the numbers."""
    found = (word.casefold().removesuffix("'s") for word in _WORD.findall(text))
    return [w for w in found if w[0].isdigit() or (len(w) > 2 and w not in _EMPTY)]
