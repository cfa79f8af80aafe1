"""Similarity of short texts by their words: equal, nearly equal, beginning alike, going in circles.

What is compared are words, without case and punctuation. Below `MIN_WORDS` words an equal sentence
is no repetition: "Yes." or "You're welcome!" may be said twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Set
from difflib import SequenceMatcher

Words = tuple[str, ...]

MIN_WORDS = 4
"""Words from which on an equal sentence counts as repeated."""

_SIMILARITY = 0.8
"""Ratio of equal words (`difflib`) from which on sentences can be nearly equal."""

_LONG_WORDS, _LONG_SIMILARITY = 12, 0.85
"""Sentences of so many words are nearly equal also with a word replaced: "Penguins can fly because
they have a special wing ..." after the same of birds. In short ones the word is what matters."""

_LOOP_WORDS = 7
"""A stretch of so many words may not stand twice in an answer, whatever lies between."""

_SHARED_WORDS = 8
"""A stretch of so many words of an earlier answer is repeated, whatever stands around it."""

_BEGINNING_WORDS = 4
"""The last words of a text by which it is seen that such a stretch may be beginning."""

_CYCLES = 3
"""How often a stretch of two to eight words may not stand in a row; a single word, once more."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")

_NEGATIONS = frozenset(
    ["not", "no", "never", "cannot", "without", "t", "nicht", "kein", "keine", "nie", "pas",
     "jamais", "sans", "nunca", "sin", "non"]
)  # fmt: skip

_SAID_BACK = {"you": "i", "your": "my", "yours": "mine", "yourself": "myself", "are": "am",
              "re": "m", "were": "was"}  # fmt: skip
"""Words of the second person, and those of the first that are told by them."""

_NUMBERS = frozenset(
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
     "twelve", "fifteen", "twenty", "thirty", "forty", "fifty", "hundred", "thousand"]
)  # fmt: skip


def words_of(text: str) -> Words:
    """The words of a text in lower case; each ideograph is a word."""
    return tuple(word.casefold() for word in _WORD.findall(text))


def is_nearly_equal(one: Words, other: Words, given: Set[str] = frozenset()) -> bool:
    """Whether `one` says the same as `other`.

    They are equal, or one has a few words more that negate or count nothing. In long texts a word
    may be another; in short ones it may if that word is in `given`, and so tells nothing new.
    """
    if one == other:
        return True
    if min(len(one), len(other)) < MIN_WORDS:
        return False
    if not may_be_similar(one, other, _SIMILARITY):
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.ratio() < _SIMILARITY:
        return False
    added, lacking = Counter(one) - Counter(other), Counter(other) - Counter(one)
    if any(word in _NEGATIONS | _NUMBERS or word.isdigit() for word in added + lacking):
        return False
    is_long = min(len(one), len(other)) >= _LONG_WORDS and matcher.ratio() >= _LONG_SIMILARITY
    replaced = any(tag == "replace" for tag, *_ in matcher.get_opcodes())
    return is_long or not replaced or (bool(given) and given >= added.keys())


def may_be_similar(one: Words, other: Words, ratio: float) -> bool:
    """An upper bound of the ratio, which spares the event loop most of the exact ones."""
    least = ratio * (len(one) + len(other)) / 2
    return min(len(one), len(other)) >= least and sum(map(set(other).__contains__, one)) >= least


def is_repeated(sentence: Words, known: Words, given: Set[str] = frozenset()) -> bool:
    """Whether a sentence of at least `MIN_WORDS` words (nearly) equals a known one."""
    return len(sentence) >= MIN_WORDS and is_nearly_equal(sentence, known, given)


def said_back(words: Words) -> Words:
    """The words with the second person in place of the first."""
    return tuple(_SAID_BACK.get(word, word) for word in words)


def spaced(words: Words) -> str:
    """The words as one text, in which stretches of them can be looked for."""
    return f" {' '.join(words)} "


def stretches(words: Words, newest: int) -> Iterator[Words]:
    """Every stretch of `_SHARED_WORDS` that ends in the `newest` words."""
    for end in range(max(_SHARED_WORDS, len(words) - newest + 1), len(words) + 1):
        yield words[end - _SHARED_WORDS : end]


def beginning(words: Words) -> str:
    """The last words, with which such a stretch may begin; empty if they are too few."""
    return spaced(words[-_BEGINNING_WORDS:]) if len(words) >= _BEGINNING_WORDS else ""


def may_become(words: Words, known: Words, given: Set[str] = frozenset()) -> bool:
    """Whether `words` may become `known`, give or take a word, and others for those in `given`."""
    if len(known) < MIN_WORDS or len(words) > len(known) or not words:
        return False
    count = len(words)
    if words == known[:count] or (count > 1 and words[1:] == known[: count - 1]):
        return True
    return any(is_nearly_equal(words, known[:n], given) for n in (count - 1, count, count + 1))


def has_stretch_twice(words: Words, newest: int) -> bool:
    """Whether a stretch of `_LOOP_WORDS` that ends in the `newest` words stood there before."""
    ends = range(max(_LOOP_WORDS, len(words) - newest + 1), len(words) + 1)
    tails = {words[end - _LOOP_WORDS : end]: end for end in ends}
    return any(
        end < tails.get(words[end - _LOOP_WORDS : end], 0)
        for end in range(_LOOP_WORDS, len(words) + 1)
    )


def ends_in_cycle(words: Words) -> bool:
    """Whether a stretch of one to eight words stands several times in a row at the end."""
    for length in range(1, 9):
        times = _CYCLES + 1 if length == 1 else _CYCLES
        tail = words[-length * times :]
        if len(tail) == length * times and tail == tail[:length] * times:
            return True
    return False
