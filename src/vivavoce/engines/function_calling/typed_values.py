"""Values with a form of their own: numbers with their units, codes, languages."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from vivavoce.engines.function_calling import dates, numbers, parameter_kinds, words
from vivavoce.engines.function_calling.dates import Span
from vivavoce.engines.function_calling.parameter_kinds import Parameter
from vivavoce.engines.function_calling.phrases import FreeText
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.text import STOP_WORDS

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

_PART_OF_NAME = re.compile(
    r"\b(?!(?:to|at|by|of|on|is|for|than|about|exactly|around|from|and|or|with|the|a|set|put|make)\b)"
    r"[a-z]{3,}\s$"
)
"""A noun directly before a number, which may be its name: "conveyor 2"."""
_NOUN = re.compile(r"\s+(?!(?:and|or|at|in|on|for|to|please|from|by|with|of)\b)([a-z]{3,40})\b")
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5}
_SHARE = re.compile(
    r"\b(?:(?:an?|one|(?P<many>two|three)) )?(?P<part>half|thirds?|quarters?|fifths?)\b"
    r"(?! (?:past|to|after|an?|of an|hour|past)\b)"
)
_NEGATIVE = re.compile(r"\bnegative\b|\bminus\b|\bbelow zero\b")
_DOWNWARD = re.compile(r"\b(?:down|lower|less|reduce|decrease|fewer|back|backwards?|below)\b")
"""Directions that make a change negative, where a description says what negative means."""
_COUNTED = re.compile(
    r"(?:\s+(?:an?|more))?\s*(?!(?:and|or|at|in|on|for|to|please|from|by|with|of)\b)[a-z%]{1,40}\b"
)
_COUNTS = words.word_set("quantity count number amount many level volume percent size")
_UNIT = re.compile(
    r"\s*(?:euros?|dollars?|bucks|pounds?|[€$£%]|percent|degrees?(?: celsius)?|times|(?:milli|kilo"
    r"|centi)?(?:grams?|grammes?|meters?|metres?|lit(?:er|re)s?)|kilos?|kg|mg|g|ml|km|cm|miles?"
    r"|feet|(?:boxes|packs|packets|bottles|pairs|pieces|cans|bags|units|cups|glasses) of)(?!\w)"
)
_MEASURES = tuple(
    words.word_set(names)
    for names in (
        "degree degrees celsius fahrenheit temperature temperatures",
        "kg kilo kilos kilogram kilograms weight",
        "g gram grams gramme grammes",
        "m meter meters metre metres",
        "km kilometer kilometers kilometre kilometres",
        "cm centimeter centimeters centimetre centimetres",
        "mm millimeter millimeters millimetre millimetres",
        "l liter liters litre litres",
        "ml milliliter milliliters millilitre millilitres",
        "mile miles",
        "foot feet",
        "times times",
        "rpm revolutions",
    )
)
"""Units, each with its other spellings and with what is measured in it alone."""
_MEASURE = re.compile(rf"\s*({'|'.join(sorted(frozenset().union(*_MEASURES)))})\b")
_RANGE_NAMES = (
    (re.compile(r"\b(?:from|between|at|pages?|starting)\s*$"),
     words.word_set("first start from begin minimum min lower")),
    (re.compile(r"(?:\b(?:to|until|till|through|and|up to)|-)\s*$"),
     words.word_set("last end to until maximum max upper")),
)  # fmt: skip
_MINIMUM = words.word_set("minimum min least lower above over")
_MAXIMUM = words.word_set("maximum max most upper under below limit within")
_LEAST = re.compile(r"(?:at least|over|above|minimum|(?:more) than)")
_MOST_NUMBERS = 8
_SAME = 0.55
"""Cosine similarity from which a counted noun is the parameter's name in another word."""
_NEAR = 0.4
"""Cosine similarity from which a counted noun ("people") suits an optional number's name."""


Quantities = dict[str, tuple[int | float, Span]]


def duration(one: Parameter, free: FreeText) -> tuple[int | float, Span] | None:
    """Return the first free duration in the unit that a parameter asks for, and its span."""
    unit = parameter_kinds.unit_of_time(one.name, one.about)
    for span, seconds in dates.lengths(free.text) if unit else ():
        value = seconds / dates.SECONDS[unit]
        if free.is_free(span) and not (one.kind == "integer" and value != int(value)):
            return (int(value) if value == int(value) else value), span
    return None


def quantities(
    wanted: Sequence[Parameter], free: FreeText, encoder: MiniLM | None, keep_unit: bool = False
) -> Quantities:
    """Return the number of each parameter, and its span with its unit.

    All are chosen together, so that the sum of what they are worth is highest; where several
    choices are worth the same, numbers said in the order of the parameters are preferred.
    """
    wanted = [one for one in wanted if one.needed or not _is_time(one)]
    result: Quantities = {
        one.name: share for one in wanted if (share := _share_in_percent(one, free)) is not None
    }
    wanted = [one for one in wanted if one.name not in result]
    found = numbers.locate(free.text)[:_MOST_NUMBERS]
    rows = [
        [
            _worth(one, Span(start, end), free, encoder) if _fits(one, value) else 0
            for value, start, end in found
        ]
        for one in wanted
    ]
    for row, place in _best(rows).items():
        value, start, end = found[place]
        span = Span(start, end)
        if cents := _cents(span, free):
            result[wanted[row].name] = value + cents[0], Span(start, cents[1])
        else:
            whole = _with_unit(wanted[row], free, span, encoder, keep_unit)
            result[wanted[row].name] = _with_sign(wanted[row], value, free), whole
    for one in wanted:
        if one.needed and one.kind == "integer" and one.name not in result:
            other = _ordinal(one, free) or _article(one, free)
            result |= {one.name: other} if other else {}
    return result


def _is_time(one: Parameter) -> bool:
    return bool(parameter_kinds.unit_of_time(one.name, one.about))


def _fits(one: Parameter, value: int | float) -> bool:
    whole = one.kind == "integer"
    return not (whole and value != int(value)) and one.accepts(value)


def _best(rows: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return the column of each row with the highest sum, and the most pairs in order."""

    @functools.cache
    def best(row: int, used: int, last: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        if row == len(rows):
            return 0.0, ()
        options = [best(row + 1, used, last)]
        for column, worth in enumerate(rows[row]):
            if worth and not used >> column & 1:
                rest, pairs = best(row + 1, used | 1 << column, column)
                order = 0.1 if column > last else 0.0
                options.append((worth + order - 0.01 * column + rest, ((row, column), *pairs)))
        return max(options)

    return dict(best(0, 0, -1)[1])


def _share_in_percent(one: Parameter, free: FreeText) -> tuple[int, Span] | None:
    """Return a fraction for a percentage: "dim it to a quarter" is 25."""
    named = {*words.split_identifier(one.name), *words.tokenize(_description(one))}
    if not named & {"percent", "percentage"} and one.about.get("maximum") != 100:
        return None
    found = _SHARE.search(free.plain)
    if (
        found is None
        or _PERCENT.search(free.plain)
        or not free.is_free(span := Span(*found.span()))
    ):
        return None
    part = _PARTS[found["part"].removesuffix("s")]
    value = round({"two": 2, "three": 3}.get(found["many"] or "", 1) * 100 / part)
    return (value, span) if one.accepts(value) else None


def _with_sign(one: Parameter, value: int | float, free: FreeText) -> int | float:
    """Return a change as a negative number where the words say so, and the schema asks for it."""
    signed = one.about.get("minimum", 0) < 0 or _NEGATIVE.search(_description(one).lower())
    signed = signed and _DOWNWARD.search(free.plain)
    return -value if signed and value > 0 and one.accepts(-value) else value


def _description(one: Parameter) -> str:
    return str(one.about.get("description", ""))[:120]


def _article(one: Parameter, free: FreeText) -> tuple[int, Span] | None:
    """Return one for a count where nothing but an article tells it: "a small pizza"."""
    if not _COUNTS.intersection(words.split_identifier(one.name)) or not one.accepts(1):
        return None
    found = re.search(r"\b(?:an?|another)\b(?=\s+[a-z])", free.plain)
    return (1, Span(found.start(), found.start())) if found else None


def _cents(span: Span, free: FreeText) -> tuple[float, int] | None:
    """Return the hundredths after an amount, and their end: "fifteen euros fifty"."""
    text = dates.plain(free.text)
    money = _MONEY.match(text[span.end :])
    start = span.end + money.end() if money else len(text)
    found = next(iter(numbers.locate(text[start : start + 20])), None)
    if found is None or found[1] != 1 or not isinstance(found[0], int) or not 10 <= found[0] < 100:
        return None
    return found[0] / 100, start + found[2]


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
    described = set(words.tokenize(_description(one))) - STOP_WORDS
    following = words.tokenize(after)[:1]
    near = near or any(words.is_similar(part, word) for part in described for word in following)
    money = bool(_MONEY.match(after)) or before.rstrip().endswith(("€", "$", "£"))
    priced = bool(named & _PRICES) and not (one.kind == "integer" and "amount" in named)
    if _PERCENT.match(after) and not near:
        return 3 if one.about.get("maximum") == 100 else 1 if one.needed else 0
    if unit := _MEASURE.match(after):
        told = f"{' '.join(words.split_identifier(one.name))} {one.about.get('description', '')}"
        if any(_same_measure(unit.group(1), word) for word in words.tokenize(told)):
            return 5
    busy = [*dates.moments(text), *(length for length, _ in dates.lengths(text))]
    if any(span.meets(moment) for moment in busy) and not near:
        return 1 + _at_its_end(named, before) if one.needed else 0
    if priced:
        limit = _LIMIT.search(before)
        limited = bool(limit) and not before.rstrip().endswith("for")
        return 4 if money else 3 if limited else 2 if one.needed else 0
    if money:
        return 1 if one.needed else 0
    bound = _LIMIT.search(before)
    if bound and not bound.group().startswith("for"):
        least = bool(_LEAST.match(bound.group()))
        return 4 if named & (_MINIMUM if least else _MAXIMUM) else 1 if one.needed else 0
    if text[span.start : span.end] == "one" and _NO_COUNT.search(before):
        return 1 if one.needed else 0
    if unit:
        return 1 if one.needed and not near else 4 if near else 0
    if near or _UNIT.match(after):
        return 4 + _at_its_end(named, before)
    if _PART_OF_NAME.search(before) and not _NOUN.match(after):
        return 2
    counted = _NOUN.match(after)
    if not one.needed and counted and not named & _COUNTS and encoder is not None:
        name = " ".join(words.split_identifier(one.name))
        if float(encoder.encode(counted[1]) @ encoder.encode(name)) < _NEAR:
            return 0
    return 3 + _at_its_end(named, before)


def _at_its_end(named: set[str], before: str) -> int:
    """Return 1 where the word before a number suits a parameter that begins or ends a range."""
    for side, names in _RANGE_NAMES:
        if named & names:
            return int(bool(side.search(before)))
    return 0


def _same_measure(unit: str, word: str) -> bool:
    return any(unit in names and word in names for names in _MEASURES)


def _with_unit(
    one: Parameter, free: FreeText, span: Span, encoder: MiniLM | None, keep_unit: bool
) -> Span:
    """Return the number with its currency, percent sign, unit, or the parameter's name."""
    text, name = dates.plain(free.text), " ".join(words.split_identifier(one.name))
    unit = None if keep_unit else _UNIT.match(text, span.end)
    counted = None if keep_unit else _NOUN.match(text, span.end)
    if (
        unit is None
        and counted
        and (
            any(words.is_similar(counted[1], part) for part in name.split())
            or (encoder and float(encoder.encode(counted[1]) @ encoder.encode(name)) >= _SAME)
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


def amount(free: FreeText) -> Span | None:
    """Return a number with what is counted or measured: "two tablets", "half a liter"."""
    text = free.plain
    for _, start, end in numbers.locate(text):
        counted = _COUNTED.match(text, end)
        span = Span(start, counted.end() if counted else end)
        if free.is_free(span):
            return span
    return None


def language(free: FreeText) -> Span | None:
    """Return the language named last: "say good morning in Japanese"."""
    spans = [Span(*m.span()) for m in _LANGUAGE.finditer(free.plain)]
    return spans[-1] if spans else None
