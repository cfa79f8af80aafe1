"""Values of enumerations and booleans, found by the utterance's words and their meaning.

A listed value is taken where the utterance has its words, else where a phrase of up to three words
lies near enough to it in meaning: "bike ride" for `cycling`, "every day" for `daily`. A boolean is
taken where the utterance has the parameter's name, what its description calls true, or an opposite
of either; negation turns it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import declarations, numbers, words
from vivavoce.engines.function_calling.dates import Span, plain
from vivavoce.engines.function_calling.parameter_kinds import Parameter
from vivavoce.engines.function_calling.phrases import FreeText
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.text import STOP_WORDS

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
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
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


def enum_value(one: Parameter, text: str, encoder: MiniLM | None) -> tuple[Any, Span | None] | None:
    """Return the value that `text` names, and the span that names it; None if there is none."""
    allowed = [value for value in one.about["enum"] if one.accepts(value)]
    texts = [value for value in allowed if isinstance(value, str) and words.split_identifier(value)]
    by_length = sorted(texts, key=len, reverse=True)
    for same in (words.is_same, words.is_similar):
        for value in by_length:
            if span := _mention(words.split_identifier(value), text, denied=False, same=same):
                return value, span
    if currency := _currency(texts, text):
        return currency
    for number, start, end in numbers.locate(text):
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
    return any(str(value).upper() in _CURRENCIES for value in one.about["enum"])


def are_weekdays(item: Json) -> bool:
    """Return whether an enumeration lists the days of the week."""
    listed = {str(value).lower() for value in item.get("enum") or ()}
    return listed >= set(_WEEK)


def weekday_group(one: Parameter, free: FreeText) -> tuple[list[Any], Span] | None:
    """Return the days that "weekdays", "weekends" or "every day" stand for, and their span."""
    by_name = {str(value).lower(): value for value in one.about["enum"]}
    week = [by_name[day] for day in _WEEK]
    for pattern, places in _WEEKDAY_GROUPS:
        if found := pattern.search(free.masked.lower()):
            return [week[place] for place in places], Span(*found.span())
    return None


def boolean(
    one: Parameter, text: str, tool: ToolDeclaration, encoder: MiniLM | None
) -> tuple[bool, Span | None] | None:
    """Return what `text` says about a boolean parameter, and where; None if it says nothing."""
    described = str(one.about.get("description", "")).lower()
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
    spelled = [" ".join(words.split_identifier(value)) for value in values]
    named = " ".join(words.split_identifier(one.name))
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
    """Whether the word at `place` follows "not" or "no", with an article between or without."""
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
    """Whether the clause denies what the span says, before it or right after: "shuffle off"."""
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
