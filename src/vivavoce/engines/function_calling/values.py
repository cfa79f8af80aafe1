"""Values of numbers, enumerations and booleans in an utterance.

A listed value is taken where the utterance has its words, else where a phrase of up to three words
lies near enough to it in meaning: "bike ride" for `cycling`, "every day" for `daily`. A boolean is
taken where the utterance has the parameter's name, what its description calls true, or an opposite
of either; negation turns it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import declarations, numbers, words
from vivavoce.engines.function_calling.declarations import Parameter
from vivavoce.engines.function_calling.phrases import FreeText
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.words import Span, plain
from vivavoce.engines.speech_text import STOP_WORDS

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
_ORDINALS = {word: value for value, word in enumerate(numbers.ORDINALS[:10], start=1)}
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
_MAX_NUMBERS = 8
_SAME = 0.55
"""Cosine similarity from which a counted noun is the parameter's name in another word."""
_NEAR = 0.4
"""Cosine similarity from which a counted noun ("people") suits an optional number's name."""


Quantities = dict[str, tuple[int | float, Span]]


def find_duration(one: Parameter, free: FreeText) -> tuple[int | float, Span] | None:
    """Return the first free duration in the unit that a parameter asks for, and its span."""
    unit = declarations.unit_of_time(one.name, one.schema)
    for span, seconds in numbers.find_durations(free.text) if unit else ():
        value = seconds / numbers.SECONDS[unit]
        if free.is_free(span) and not (one.kind == "integer" and value != int(value)):
            return (int(value) if value == int(value) else value), span
    return None


def find_quantities(
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
    found = numbers.locate_numbers(free.text)[:_MAX_NUMBERS]
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
    return bool(declarations.unit_of_time(one.name, one.schema))


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
    if not named & {"percent", "percentage"} and one.schema.get("maximum") != 100:
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
    signed = one.schema.get("minimum", 0) < 0 or _NEGATIVE.search(_description(one).lower())
    signed = signed and _DOWNWARD.search(free.plain)
    return -value if signed and value > 0 and one.accepts(-value) else value


def _description(one: Parameter) -> str:
    return str(one.schema.get("description", ""))[:120]


def _article(one: Parameter, free: FreeText) -> tuple[int, Span] | None:
    """Return one for a count where there is only an article: "a small pizza"."""
    if not _COUNTS.intersection(words.split_identifier(one.name)) or not one.accepts(1):
        return None
    found = re.search(r"\b(?:an?|another)\b(?=\s+[a-z])", free.plain)
    return (1, Span(found.start(), found.start())) if found else None


def _cents(span: Span, free: FreeText) -> tuple[float, int] | None:
    """Return the hundredths after an amount, and their end: "fifteen euros fifty"."""
    text = words.plain(free.text)
    money = _MONEY.match(text[span.end :])
    start = span.end + money.end() if money else len(text)
    found = next(iter(numbers.locate_numbers(text[start : start + 20])), None)
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
    text = words.plain(free.text)
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
        return 3 if one.schema.get("maximum") == 100 else 1 if one.needed else 0
    if unit := _MEASURE.match(after):
        about = f"{words.spell_identifier(one.name)} {one.schema.get('description', '')}"
        if any(_same_measure(unit.group(1), word) for word in words.tokenize(about)):
            return 5
    busy = [*numbers.find_moments(text), *(length for length, _ in numbers.find_durations(text))]
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
        name = words.spell_identifier(one.name)
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
    text, name = words.plain(free.text), words.spell_identifier(one.name)
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


_MAX_WORDS = 40
"""Words of an utterance whose phrases are compared: each phrase costs 0.4 ms of CPU once."""
_MAX_PHRASE_WORDS = 3
_NEAR_REQUIRED = 0.33
_NEAR_OPTIONAL = 0.62
"""Cosine similarity from which a phrase names a value. Measured on 70 utterances with
enumerations that no labelled set has: values that were meant lie at 0.37 to 1.0 (median 1.0),
the nearest value of an enumeration that was not meant at 0.23 to 0.52."""
_NEAR_BOOLEAN = 0.62
_CONTEXT = 0.5
"""Weight of the whole utterance's similarity to parameter and value, beside the best phrase's."""
_SWITCHES = words.word_set("enabled enable on active activated state allowed status power")
_SILENCE = re.compile(r"mute|silen|disturb|quiet|block|hide|privacy")
_WEEKDAY_GROUPS = (
    (re.compile(r"\b(?:weekdays|week ?days|working days)\b"), range(5)),
    (re.compile(r"\bweekends?\b"), range(5, 7)),
    (re.compile(r"\b(?:every day|daily|each day|every morning|every evening)\b"), range(7)),
)
_CURRENCIES = {
    "USD": "dollar dollars bucks $", "EUR": "euro euros €", "GBP": "pound pounds quid sterling £",
    "JPY": "yen ¥", "CHF": "franc francs", "CNY": "yuan renminbi", "INR": "rupee rupees ₹",
    "KRW": "won ₩", "SEK": "krona kronor", "PLN": "zloty", "BRL": "real reais",
    "RUB": "ruble rubles", "TRY": "lira", "MXN": "peso pesos",
}  # fmt: skip
"""What currencies are called, by their ISO 4217 code."""
_TRUE = re.compile(r"\btrue (?:to|if|when|for)\b([^,;.]{0,120})")
_FALSE = re.compile(r"\bfalse (?:to|if|when|for)\b([^,;.]{0,120})")
_CLAUSE_END = re.compile(r"[,;.:]\s|\b(?:but|because|so)\b")
_IDLE = words.word_set("can is has have should with only be whether if use do does")


def find_enum_value(
    one: Parameter, text: str, encoder: MiniLM | None
) -> tuple[Any, Span | None] | None:
    """Return the value that `text` names, and the span that names it; None if there is none."""
    allowed = [value for value in one.schema["enum"] if one.accepts(value)]
    texts = [value for value in allowed if isinstance(value, str) and words.split_identifier(value)]
    by_length = sorted(texts, key=len, reverse=True)
    for same in (words.is_same, words.is_similar):
        for value in by_length:
            if span := _mention(words.split_identifier(value), text, denied=False, same=same):
                return value, span
    if currency := _currency(texts, text):
        return currency
    for number, start, end in numbers.locate_numbers(text):
        if number in allowed or str(number) in allowed:
            return number if number in allowed else str(number), Span(start, end)
    if encoder is None or not texts:
        return None
    near = _nearest(one, texts, text, encoder)
    floor = _NEAR_REQUIRED if one.needed else _NEAR_OPTIONAL
    return near[:2] if near and near[2] >= floor else None


def _currency(codes: list[str], text: str) -> tuple[str, Span] | None:
    """Return the currency code that is named first, and the word or sign that names it."""
    named: list[tuple[int, int, str]] = []
    for code in codes:
        for word in _CURRENCIES.get(code.upper(), "").split():
            edge = r"\b" if word.isalpha() else ""
            if found := re.search(rf"{edge}{re.escape(word)}{edge}", plain(text)):
                named.append((*found.span(), code))
    if not named:
        return None
    start, end, code = min(named)
    return code, Span(start, end)


def lists_currencies(one: Parameter) -> bool:
    """Return whether an enumeration lists currency codes."""
    return any(str(value).upper() in _CURRENCIES for value in one.schema["enum"])


def are_weekdays(item: Json) -> bool:
    """Return whether an enumeration lists the days of the week."""
    listed = {str(value).lower() for value in item.get("enum") or ()}
    return listed >= set(numbers.WEEKDAYS)


def find_weekday_group(one: Parameter, free: FreeText) -> tuple[list[Any], Span] | None:
    """Return the days that "weekdays", "weekends" or "every day" stand for, and their span."""
    by_name = {str(value).lower(): value for value in one.schema["enum"]}
    week = [by_name[day] for day in numbers.WEEKDAYS]
    for pattern, places in _WEEKDAY_GROUPS:
        if found := pattern.search(free.masked.lower()):
            return [week[place] for place in places], Span(*found.span())
    return None


def find_boolean(
    one: Parameter, text: str, tool: ToolDeclaration, encoder: MiniLM | None
) -> tuple[bool, Span | None] | None:
    """Return what `text` says about a boolean parameter, and where; None if it says nothing."""
    described = str(one.schema.get("description", "")).lower()
    named = [w for w in words.split_identifier(one.name) if w not in STOP_WORDS | _IDLE]
    if _SWITCHES & set(words.split_identifier(one.name)):
        silences = bool(_SILENCE.search(f"{described} {tool.name} {tool.description}".lower()))
        off = words.ends(text) if silences else words.is_off(text)
        return (not off, None) if one.needed or off or words.is_on(text) else None
    if any(_has(word, text) for part in named for word in words.opposites(_base(part))):
        return False, None
    spans = [_mention([part], text) for part in named]
    if span := (_mention(named, text) if named else None) or next(filter(None, spans), None):
        return not _is_negated(span, text), _with_negation(span, text)
    if encoder is not None and (found := _meant(one, named, described, text, tool, encoder)):
        return found
    if not one.needed:
        return None
    return (False, None) if words.is_off(text) else (True, None) if words.is_on(text) else None


def _meant(
    one: Parameter,
    named: list[str],
    described: str,
    text: str,
    tool: ToolDeclaration,
    encoder: MiniLM,
) -> tuple[bool, Span] | None:
    """Return what a phrase near in meaning to what is true, or false, says."""
    true, false = _TRUE.search(described), _FALSE.search(described)
    about = [*words.split_identifier(tool.name), *words.tokenize(declarations.summary(tool))]
    yes = [" ".join(named)] if named else []
    if true:
        yes.append(_without(about, true[1].split(" without ")[0]))
    elif described and not false:
        yes.append(_without([*about, *_IDLE], described.strip(" .")))
    no = [_without(about, false[1])] if false else []
    phrases = [
        (span, phrase)
        for span, phrase in _phrases(text)
        if not all(any(words.is_same(word, other) for other in about) for word in phrase.split())
    ]
    if not phrases or not yes + no:
        return None
    near = _vectors([phrase for _, phrase in phrases], encoder) @ _vectors(yes + no, encoder).T
    place, best = (int(n) for n in np.unravel_index(near.argmax(), near.shape))
    if near[place, best] < _NEAR_BOOLEAN:
        return None
    return best < len(yes) and not _is_negated(phrases[place][0], text), phrases[place][0]


def _without(about: list[str], text: str) -> str:
    """Return a text without the words of the function itself, unless nothing is left."""
    kept = [w for w in text.split() if not any(words.is_same(w, other) for other in about)]
    telling = any(word not in STOP_WORDS for word in kept)
    return " ".join(kept) if telling else text.strip()


def _nearest(
    one: Parameter, values: list[str], text: str, encoder: MiniLM
) -> tuple[str, Span, float] | None:
    """Return the value nearest in meaning, the phrase that names it, and their similarity."""
    phrases = list(_phrases(text))
    if not phrases:
        return None
    spelled = [words.spell_identifier(value) for value in values]
    named = words.spell_identifier(one.name)
    near = _vectors([phrase for _, phrase in phrases], encoder) @ _vectors(spelled, encoder).T
    for column, value in enumerate(spelled):
        opposite = {other for word in value.split() for other in words.opposites(word)}
        near[[not opposite.isdisjoint(phrase.split()) for _, phrase in phrases], column] = 0
    whole = _vectors([f"{named} {value}" for value in spelled], encoder) @ encoder.encode(
        " ".join(words.tokenize(text)[:_MAX_WORDS])
    )
    best = int((near.max(axis=0) + _CONTEXT * whole).argmax())
    phrase = int(near[:, best].argmax())
    return values[best], phrases[phrase][0], float(near[phrase, best])


def _vectors(texts: list[str], encoder: MiniLM) -> Any:
    return np.stack(encoder.encode_all(texts))


def _phrases(text: str) -> Iterator[tuple[Span, str]]:
    """Yield the phrases of up to three words that neither begin nor end with a stop word."""
    found = [(m.start(), m.end(), m.group()) for m in words.WORD.finditer(plain(text))][:_MAX_WORDS]
    for start, (begin, _, first) in enumerate(found):
        if first in STOP_WORDS - words.PARTICLES or _is_denied(found, start):
            continue
        for stop in range(start, min(len(found), start + _MAX_PHRASE_WORDS)):
            if found[stop][2] not in STOP_WORDS - words.PARTICLES:
                yield (
                    Span(begin, found[stop][1]),
                    " ".join(word for _, _, word in found[start : stop + 1]),
                )


def _is_denied(found: list[tuple[int, int, str]], place: int) -> bool:
    """Return whether the word at `place` follows "not" or "no", with or without an article."""
    before = [word for _, _, word in found[max(0, place - 2) : place]]
    return bool(before) and (
        before[-1] in words.NEGATIONS
        or (before[0] in words.NEGATIONS and before[-1] in ("a", "the", "so", "too", "very"))
    )


def _mention(
    parts: list[str],
    text: str,
    denied: bool = True,
    same: Callable[[str, str], bool] = words.is_similar,
) -> Span | None:
    """Return the span from the first to the last word of `parts`; None if one is missing."""
    found = [(m.start(), m.end(), m.group()) for m in words.WORD.finditer(plain(text))]
    places = []
    for part in parts:
        fits = (
            n
            for n, (_, _, word) in enumerate(found)
            if same(part, word) and (denied or not _is_denied(found, n))
        )
        place = next(fits, None)
        if place is None:
            return None
        places.append(place)
    if max(places) - min(places) > len(parts):
        return Span(*found[places[0]][:2])
    return Span(found[min(places)][0], found[max(places)][1])


def _is_negated(span: Span, text: str) -> bool:
    """Return whether the clause negates the span, before it or right after: "shuffle off"."""
    before = _CLAUSE_END.split(plain(text)[: span.start])[-1]
    return words.is_negated(" ".join([before, *words.tokenize(text[span.end :])[:1]]))


def _with_negation(span: Span, text: str) -> Span:
    """Return the span with the "no" or "without" before it."""
    before = re.search(r"\b(?:no|not|without|with|and)\s+(?:(?:an?|any|the)\s+)?$",
                       plain(text)[max(0, span.start - 20) : span.start])  # fmt: skip
    return Span(span.start - len(before.group()), span.end) if before else span


def _has(word: str, text: str) -> bool:
    return any(words.is_similar(word, other) for other in words.tokenize(text))


def _base(word: str) -> str:
    return word.removesuffix("ed") if word.endswith("ed") else word
