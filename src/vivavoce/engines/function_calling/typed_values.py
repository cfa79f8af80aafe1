"""Values with a form of their own: numbers with their units, codes, languages."""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import dates, numbers, parameter_kinds, words
from vivavoce.engines.function_calling.dates import Span
from vivavoce.engines.function_calling.parameter_kinds import Parameter
from vivavoce.engines.function_calling.phrases import FreeText
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.stop_words import STOP_WORDS

_MONEY = re.compile(r"^\s*(?:euros?|dollars?|bucks|pounds?|francs?|yen|[€$£])")
_LIMIT = re.compile(
    r"(?:under|below|over|above|(?:less|more|cheaper|no longer|not longer|no more|not more) than"
    r"|at most|at least|up to|maximum|max|minimum"
    r"|within|budget of|for)\s*(?:the\s*)?[€$£]?\s*$"
)
_PERCENT = re.compile(r"\s*(?:%|percent\b)")
_PRICES = words.word_set(
    "price cost amount budget money rent total sum fee salary fare bill payment deposit"
)
_ORDINAL_NAMES = "first second third fourth fifth sixth seventh eighth ninth tenth"
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_NAMES.split(), start=1)}
_NO_COUNT = re.compile(
    r"\b(?:this|that|the|which|another|no|every|any|some|next|last|it) (?:\w+ )?$"
)

_NOUN = re.compile(r"\s+(?!(?:and|or|at|in|on|for|to|please|from|by|with|of)\b)([a-z]{3,40})\b")
_COUNTS = words.word_set("quantity count number amount many level volume percent size")
_UNIT = re.compile(
    r"\s*(?:euros?|dollars?|bucks|pounds?|[€$£%]|percent|degrees?(?: celsius)?|times|(?:milli|kilo"
    r"|centi)?(?:grams?|grammes?|meters?|metres?|lit(?:er|re)s?)|kilos?|kg|mg|g|ml|km|cm|miles?"
    r"|feet|(?:boxes|packs|packets|bottles|pairs|pieces|cans|bags|units|cups|glasses) of)(?!\w)"
)
_NEAR = 0.4
"""Cosine similarity from which a counted noun ("people") suits an optional number's name."""


def quantity(
    one: Parameter, free: FreeText, encoder: MiniLM | None, keep_currency: bool = False
) -> tuple[int | float, Span] | None:
    """Return the number that suits a parameter best, and its span with its unit."""
    whole = one.kind == "integer"
    if unit := parameter_kinds.unit_of_time(one.name, one.about):
        for span, seconds in dates.lengths(free.text):
            value = seconds / dates.SECONDS[unit]
            if free.is_free(span) and not (whole and value != int(value)):
                return (int(value) if value == int(value) else value), span
        if not one.needed:
            return None
    best: tuple[int, int, Span, int | float] | None = None
    for value, start, end in numbers.locate(free.text):
        span = Span(start, end)
        if (whole and value != int(value)) or not one.accepts(value):
            continue
        worth = _worth(one, span, free, encoder)
        if worth > 0 and (best is None or (worth, -start) > best[:2]):
            best = (worth, -start, span, value)
    if best is None:
        return _ordinal(one, free) if one.needed and whole else None
    return best[3], _with_unit(one, free, best[2], encoder, keep_currency)


def worth(one: Parameter, free: FreeText, encoder: MiniLM | None) -> int:
    """Return how well the best number suits a parameter: those that it suits best go first."""
    spans = (Span(start, end) for _, start, end in numbers.locate(free.text))
    return max((_worth(one, span, free, encoder) for span in spans), default=0)


def _ordinal(one: Parameter, free: FreeText) -> tuple[int, Span] | None:
    """Return an ordinal as a number: "shift into third"."""
    for found in words.WORD.finditer(free.plain):
        value, span = _ORDINALS.get(found.group()), Span(*found.span())
        if value is not None and free.is_free(span) and one.accepts(value):
            return value, span
    return None


def _worth(one: Parameter, span: Span, free: FreeText, encoder: MiniLM | None) -> int:
    """Return how well a number suits a parameter; 0 when it does not."""
    if not free.is_free(span):
        return 0
    text = dates.plain(free.text)
    before, after = text[: span.start], text[span.end :]
    named = set(words.split_identifier(one.name))
    tokens = words.tokenize(after)[:1] + words.tokenize(before)[-1:]
    near = any(words.is_similar(part, word) for part in named for word in tokens)
    described = set(words.tokenize(str(one.about.get("description", ""))[:120])) - STOP_WORDS
    following = words.tokenize(after)[:1]
    near = near or any(words.is_similar(part, word) for part in described for word in following)
    money = bool(_MONEY.match(after)) or before.rstrip().endswith(("€", "$", "£"))
    priced = bool(named & _PRICES) and not (one.kind == "integer" and "amount" in named)
    if _PERCENT.match(after) and not near:
        return 3 if one.about.get("maximum") == 100 else 1 if one.needed else 0
    busy = [*dates.moments(text), *(length for length, _ in dates.lengths(text))]
    if any(span.meets(moment) for moment in busy) and not near:
        return 1 if one.needed else 0
    if priced:
        limited = bool(_LIMIT.search(before))
        return 4 if money else 3 if limited else 2 if one.needed else 0
    if money:
        return 1 if one.needed else 0
    if text[span.start : span.end] == "one" and _NO_COUNT.search(before):
        return 1 if one.needed else 0
    if near or (_UNIT.match(after) and not money):
        return 4
    counted = _NOUN.match(after)
    if not one.needed and counted and not named & _COUNTS and encoder is not None:
        name = " ".join(words.split_identifier(one.name))
        if float(encoder.encode(counted[1]) @ encoder.encode(name)) < _NEAR:
            return 0
    return 3


def _with_unit(
    one: Parameter, free: FreeText, span: Span, encoder: MiniLM | None, keep_currency: bool
) -> Span:
    """Return the number with its currency, percent sign, unit, or the parameter's name."""
    text, name = dates.plain(free.text), " ".join(words.split_identifier(one.name))
    unit = None if keep_currency and _MONEY.match(text[span.end :]) else _UNIT.match(text, span.end)
    counted = _NOUN.match(text, span.end)
    if (
        unit is None
        and counted
        and (
            any(words.is_similar(counted[1], part) for part in name.split())
            or (encoder and float(encoder.encode(counted[1]) @ encoder.encode(name)) >= _NEAR)
        )
    ):
        unit = counted
    lead = _LIMIT.search(text[: span.start])
    start = lead.start() if lead and not lead.group().startswith("for") else span.start
    named = "|".join(re.escape(word) for word in words.split_identifier(name) if len(word) > 2)
    beside = named and re.search(
        rf"(?:\b(?:at|to|with|by|on|in)\s+)?(?:(?:an?|the)\s+)?\b(?:{named})s?"
        r"(?:\s+(?:of|to|at|is))?\s+$",
        text[max(0, start - 60) : start],
    )
    start -= len(beside.group()) if beside else 0
    return Span(start, unit.end() if unit else span.end)


_CODE = re.compile(r"\+?(?:\b[a-z]*\d[\w-]*\b)(?:[ -]?\b[a-z]?\d[\w-]*\b)*")
_CODE_WORDS = re.compile(
    r"\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double)\b[ -]?){2,}"
)
_DIGITS = {word: str(digit) for digit, word in enumerate(numbers.DIGIT_NAMES)}
_LANGUAGE = re.compile(
    r"\b(?:english|spanish|french|german|italian|portuguese|dutch|swedish|norwegian|danish|finnish"
    r"|icelandic|polish|czech|slovak|hungarian|romanian|bulgarian|serbian|croatian|slovenian|greek"
    r"|turkish|russian|ukrainian|arabic|hebrew|persian|farsi|urdu|hindi|bengali|punjabi|tamil"
    r"|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|swahili"
    r"|latin|irish|welsh|catalan|basque|estonian|latvian|lithuanian|albanian|esperanto)\b"
)


def code(free: FreeText) -> Span | None:
    """Return the longest number as one dials or quotes it, with the capitals before it."""
    spans = [Span(*m.span()) for m in _CODE.finditer(free.plain)]
    spans += [Span(m.start(), len(m.group().rstrip()) + m.start())
              for m in _CODE_WORDS.finditer(free.plain)]  # fmt: skip
    found = [span for span in spans if free.is_free(span)]
    best = max(found, key=lambda span: span.end - span.start, default=None)
    if best is None:
        return None
    letters = re.search(r"\b[A-Z]{1,4} $", free.text[max(0, best.start - 6) : best.start])
    return Span(best.start - len(letters.group()), best.end) if letters else best


def digits(text: str) -> str:
    """Return a dialled number without what stands between its digits; other codes as they are."""
    lower = text.lower()
    for word, digit in _DIGITS.items():
        lower = re.sub(rf"\b{word}\b", digit, lower)
    bare = re.sub(r"[\s-]", "", re.sub(r"\boh\b", "0", lower))
    return bare if bare.lstrip("+").isdigit() else text


def language(free: FreeText) -> Span | None:
    """Return the language named last: "say good morning in Japanese"."""
    spans = [Span(*m.span()) for m in _LANGUAGE.finditer(free.plain)]
    return spans[-1] if spans else None
