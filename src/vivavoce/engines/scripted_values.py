"""Generate numbers and strings that satisfy a JSON Schema, for the scripted engine's arguments.

Bounds and factors of numbers are taken as they are written, in decimal: 0.3 is a multiple of 0.1.

A text that matches regular expressions is grown character by character: `regex` says of a beginning
whether it can still become a match (a partial match), of every pattern at once, and one that can't
is taken back. So patterns of any syntax that `regex` reads are served, and those of several places
hold together.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from time import thread_time
from typing import Any

import regex

from vivavoce.domain.parameter_schema import Schema, common_multiple, decimal
from vivavoce.engines.tool_validation import LARGEST_PATTERN, LONGEST_PATTERN, compiled_size

# --- numbers -----------------------------------------------------------------------------

_FEW = 20
_MOST = 1_000
"""Numbers of one kind."""


def made_up_numbers(variant: Schema, whole: bool) -> Iterator[int | float]:
    """Yield numbers that a variant allows, those near zero first; only integers if `whole`."""
    low, high = _bounds(variant)
    step = Fraction(1)
    if "multipleOf" in variant:
        step = decimal(variant["multipleOf"])
        step = common_multiple(step, Fraction(1)) if whole else step
    numbers = _multiples(low, high, step)
    if not whole and "multipleOf" not in variant:
        numbers = itertools.chain(itertools.islice(numbers, _FEW), _between(low, high), numbers)
    for number in numbers:
        value = int(number) if number.denominator == 1 else float(number)
        if _holds(variant, number) and math.isfinite(value):
            yield value


def _bounds(variant: Schema) -> tuple[Fraction | None, Fraction | None]:
    low = [decimal(variant[key]) for key in ("minimum", "exclusiveMinimum") if key in variant]
    high = [decimal(variant[key]) for key in ("maximum", "exclusiveMaximum") if key in variant]
    return max(low, default=None), min(high, default=None)


def _holds(variant: Schema, number: Fraction) -> bool:
    above, below = variant.get("exclusiveMinimum"), variant.get("exclusiveMaximum")
    return (above is None or number > decimal(above)) and (below is None or number < decimal(below))


def _multiples(low: Fraction | None, high: Fraction | None, step: Fraction) -> Iterator[Fraction]:
    """Yield multiples within the bounds, outward from the one nearest to zero."""
    least = None if low is None else math.ceil(low / step)
    most = None if high is None else math.floor(high / step)
    begin = max(0, least or 0) if most is None else min(max(0, least or 0), most)
    for away in range(_MOST):
        for factor in (begin + away, begin - away) if away else (begin,):
            if (least is None or factor >= least) and (most is None or factor <= most):
                yield factor * step


def _between(low: Fraction | None, high: Fraction | None) -> Iterator[Fraction]:
    """Yield the middle of the bounds, the bounds, and what halves the spaces between."""
    if low is None:
        low = Fraction(0) if high is None else high - 1
    if high is None:
        high = low + 1
    yield from ((low + high) / 2, low, high)
    parts = 4
    while parts <= _MOST:
        yield from (low + (high - low) * n / parts for n in range(1, parts, 2))
        parts *= 2


# --- texts -------------------------------------------------------------------------------

LONGEST = 10_000
"""Characters of a text."""

_SHORT = 64
"""Characters beyond the shortest length that are tried before longer texts are."""
_MAX_S = 0.25
_MAX_STEPS = 8_000
"""Partial matches for one set of patterns: some 50 ms."""
_MAX_STEPS_TRIAL, _MAX_STEPS_SHORT, _MAX_STEPS_LONG = 300, 800, 6_000
"""The same for one search."""
_MAX_COMBINATIONS = 64
_MATCH_S = 0.02
_OF_A_PROPERTY = 20
"""Characters that are tried of a property of Unicode."""

_COMMON = "a0A"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_OTHERS = "éßΩЖ中あ😀"
_PROPERTY = regex.compile(r"\\[pP](?:\{[^{}]{1,60}\}|[A-Z])")
_ESCAPE = regex.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_LOOKAHEAD = regex.compile(
    r"\^(?<ahead>\(\?[=!](?<within>(?:[^\\\[\]()]|\\.|\[\^?\]?(?:[^\\\]]|\\.)*+\]|\((?&within)\))*+)\))"
)
_ASSIGNED = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x20000))))


def matching_texts(patterns: Sequence[str], least: int = 0, most: int = LONGEST) -> Iterator[str]:
    """Yield texts of `least` to `most` characters that match all the patterns, as far as found.

    They match as `pattern` of JSON Schema wants it, somewhere. Nothing is yielded for a pattern
    that can't be read, or is larger than is searched for. Takes up to `_MAX_S` of a thread.
    """
    most = min(most, LONGEST)
    if any(len(one) > LONGEST_PATTERN or compiled_size(one) > LARGEST_PATTERN for one in patterns):
        return
    alphabet = _alphabet(patterns)
    yielded: dict[str, None] = {}
    steps, ends = _MAX_STEPS, thread_time() + _MAX_S
    bounds = [(min(least + _SHORT, most), _MAX_STEPS_SHORT + 2 * least), (most, _MAX_STEPS_LONG)]
    try:
        forms = list(_whole_texts(patterns, least, ends))
        for (limit, most_steps), wholes in itertools.product(bounds, forms):
            search = _Search(wholes, alphabet, min(steps, most_steps))
            if thread_time() > ends:
                return
            for text in search.texts(least, limit):
                if text not in yielded:
                    yielded[text] = None
                    yield text
            steps -= search.steps
    except (regex.error, TimeoutError, OverflowError, RecursionError):
        return


def _whole_texts(patterns: Sequence[str], least: int, ends: float) -> Iterator[list[Any]]:
    """Yield patterns of whole texts, none where they are not found before `ends`.

    Each of `patterns` is all of the text, its beginning, its end, or begins at its second
    character.
    """
    forms: list[list[Any]] = []
    ahead: list[Any] = []
    for one in patterns:
        if thread_time() > ends:
            return
        looked, rest = _without_lookaheads(one)
        ahead += (regex.compile(rf"{each}[\s\S]*") for each in looked)
        whole, anything, alphabet = regex.compile(f"(?:{rest})"), r"[\s\S]", _alphabet([one])
        found = _Search([whole], alphabet, _MAX_STEPS_SHORT).texts(0, LONGEST)
        before = max(1, least - len(next(found, "")))
        begins = f"{whole.pattern}{anything}*"
        others = (begins, f"{anything}{{{before}}}{whole.pattern}", f"{anything}{begins}")
        forms.append([whole])
        for other in map(regex.compile, others):
            search = _Search([other], alphabet, _MAX_STEPS_TRIAL + before)
            if next(search.texts(0, LONGEST), None) is not None:
                forms[-1].append(other)
    for chosen in itertools.islice(_choices(list(map(len, forms))), _MAX_COMBINATIONS):
        yield [each[n] for each, n in zip(forms, chosen, strict=True)] + ahead


def _choices(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the ways to choose one from each of some lists by their sums, the first ones first."""
    least = (0,) * len(sizes)
    waiting, known = [(0, least)], {least}
    while waiting:
        total, chosen = heapq.heappop(waiting)
        yield chosen
        for at, size in enumerate(sizes):
            other = (*chosen[:at], chosen[at] + 1, *chosen[at + 1 :])
            if other[at] < size and other not in known:
                known.add(other)
                heapq.heappush(waiting, (total + 1, other))


def _without_lookaheads(pattern: str) -> tuple[list[str], str]:
    """Return the assertions that begin an anchored pattern, and the pattern without them.

    What follows an assertion is not looked at in a partial match that ends within it.
    """
    found: list[str] = []
    rest = pattern
    while head := _LOOKAHEAD.match(rest):
        found.append(f"^{head['ahead']}")
        rest = f"^{rest[head.end() :]}"
    return found, rest


class _Search:
    """Grows the texts that some patterns match from end to end, within a number of steps."""

    def __init__(self, wholes: list[Any], alphabet: Mapping[str, int], most_steps: int) -> None:
        self._wholes = wholes
        self._costs = dict(alphabet)
        """Those that were used and, far more, those that did not fit are tried later."""
        self._most_steps = most_steps
        self._ends = thread_time() + _MAX_S
        self.steps = 0

    def texts(self, least: int, most: int) -> Iterator[str]:
        """Yield texts of so many characters, the beginning of each before it is continued."""
        if least == 0 and self._matches(""):
            yield ""
        text, choices = "", [self._choice()]
        while choices:
            char = next(choices[-1], None) if len(text) < most else None
            if char is None:
                choices.pop()
                text = text[:-1]
                continue
            self.steps += 1
            if self.steps > self._most_steps or thread_time() > self._ends:
                return
            if not self._matches(text + char, partial=True):
                self._costs[char] = 2 * self._costs[char] + 1
                continue
            self._costs[char] += 1
            text += char
            choices.append(self._choice())
            if len(text) >= least and self._matches(text):
                yield text

    def _choice(self) -> Iterator[str]:
        return iter(sorted(self._costs, key=self._costs.__getitem__))

    def _matches(self, text: str, partial: bool = False) -> bool:
        for one in self._wholes:
            if not one.fullmatch(text, partial=partial, timeout=_MATCH_S, concurrent=True):
                return False
        return True


def _alphabet(patterns: Sequence[str]) -> Mapping[str, int]:
    """Return characters to be tried, each with a cost: what the patterns name costs least."""
    named: list[str] = [*_COMMON]
    for pattern in patterns:
        named += pattern
        named += (chr(int(one[1] or one[2], 16)) for one in _ESCAPE.finditer(pattern))
        for one in _PROPERTY.findall(pattern):
            found = itertools.islice(regex.finditer(one, _ASSIGNED), _OF_A_PROPERTY)
            named += (char[0] for char in found)
    return dict.fromkeys(named, 0) | {c: 2 for c in _PRINTABLE + _OTHERS if c not in named}
