"""Find the sentences of an answer that its sources support.

A source supports a sentence when it holds all its numbers and most of its words that carry meaning;
the share of those words is the confidence. A sentence that no source supports gets no support.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vivavoce.core.messages import Support
from vivavoce.domain.content import Source

MIN_WORD_SHARE = 0.6
"""Least share of a sentence's words that a source must hold."""

MIN_WORDS = 2
"""Least number of words and numbers with meaning in a supported sentence."""

MAX_CHARS = 100_000
"""Characters of an answer that are examined."""

_ABBREVIATED = frozenset({
    "vs", "mr", "mrs", "ms", "dr", "st", "no", "cf", "etc", "jr", "sr", "inc", "e.g", "i.e",
})  # fmt: skip
"""A period after these ends no sentence; nor does one after a single letter."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)]*|\n")
_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "the and that this with from have has had was were are been for not but its their they"
        " them than then there here when what which who where how will would could should about"
        " into over after before also some most more very just only according found"
    )
)


def find_supports(text: str, sources: Sequence[Source]) -> tuple[Support, ...]:
    """Return the sentences of `text` that `sources` support, in order."""
    known = [frozenset(_words(f"{source.title} {source.text}")) for source in sources]
    found = []
    place = start = 0
    for begin, sentence in _sentences(text[:MAX_CHARS]):
        start += _size(text[place:begin])
        place = begin
        words = _words(sentence)
        if len(words) < MIN_WORDS:
            continue
        shares = [(number, _share(words, held)) for number, held in enumerate(known)]
        held_by = [(number, share) for number, share in shares if share >= MIN_WORD_SHARE]
        if held_by:
            places, confidence = zip(*held_by, strict=True)
            end = start + _size(sentence)
            found.append(Support(start, end, sentence, places, confidence))
    return tuple(found)


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield sentences with their offsets, in time proportional to the text."""
    begin = 0
    for stop in (*_SENTENCE_END.finditer(text), None):
        end = len(text) if stop is None else stop.end()
        if stop is not None and stop.group() != "\n":
            if not text[end : end + 1].isspace() and end < len(text):
                continue
            last = text[max(begin, stop.start() - 8) : stop.start()].split()[-1:]
            word = last[0].casefold() if last else ""
            if stop.group() == "." and (
                word in _ABBREVIATED or (len(word) == 1 and word.isalpha())
            ):
                continue
        sentence = text[begin:end].strip()
        if sentence:
            yield text.index(sentence, begin), sentence
        begin = end


def _size(text: str) -> int:
    """Return the size in UTF-8; surrogates count as one byte."""
    return len(text.encode("utf-8", "replace"))


def _share(words: list[str], held: frozenset[str]) -> float:
    """Return the share of a sentence's words in a source; 0 if one of its numbers is missing."""
    if any(word[0].isdigit() and word not in held for word in words):
        return 0.0
    return round(sum(word in held for word in words) / len(words), 3)


def _words(text: str) -> list[str]:
    """Return the words that carry meaning, and the numbers."""
    found = (word.casefold().removesuffix("'s") for word in _WORD.findall(text))
    return [w for w in found if w[0].isdigit() or (len(w) > 2 and w not in _FUNCTION_WORDS)]
