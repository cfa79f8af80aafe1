"""Numbers for a call: lengths of time in the unit that is wanted, prices, counts and levels."""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import dates, numbers, parameter_kinds, schema, words
from vivavoce.engines.function_calling.dates import Span
from vivavoce.engines.function_calling.parameter_kinds import Property
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.text_spans import Said

_MONEY = re.compile(r"^\s*(?:euros?|dollars?|bucks|pounds?|francs?|yen|[€$£])")
_LIMIT = re.compile(
    r"(?:under|below|less than|at most|up to|cheaper than|no more than|not more than|maximum|max"
    r"|within|budget of|for)\s*(?:the\s*)?[€$£]?\s*$"
)
_NO_COUNT = re.compile(
    r"\b(?:this|that|the|which|another|no|every|any|some|next|last|it) (?:\w+ )?$"
)

_NOUN = re.compile(r"\s+(?!(?:and|or|at|in|on|for|to|please|from|by|with|of)\b)([a-z]{3,40})\b")
_COUNTS = words.word_set("quantity count number amount many level volume percent size")
_NEAR = 0.4
"""Cosine similarity from which a counted noun ("people") suits an optional number's name."""


def quantity(one: Property, said: Said, encoder: MiniLM | None) -> tuple[int | float, Span] | None:
    """The number that suits a parameter best, and where it stands with its unit."""
    whole = one.kind == "integer"
    if unit := parameter_kinds.unit_of_time(one.name, one.about):
        for span, seconds in dates.lengths(said.text):
            value = seconds / dates.SECONDS[unit]
            if said.is_free(span) and not (whole and value != int(value)):
                return (int(value) if value == int(value) else value), span
        if not one.needed:
            return None
    best: tuple[int, int, Span, int | float] | None = None
    for value, start, end in numbers.locate(said.text):
        span = Span(start, end)
        if (whole and value != int(value)) or not schema.accepts(one.about, value):
            continue
        worth = _worth(one, span, said, encoder)
        if worth > 0 and (best is None or (worth, -start) > best[:2]):
            best = (worth, -start, span, value)
    if best is None:
        return None
    return best[3], _with_unit(said, best[2], one.name)


def _worth(one: Property, span: Span, said: Said, encoder: MiniLM | None) -> int:
    """How well a number suits a parameter; 0 when it does not."""
    if not said.is_free(span):
        return 0
    text = dates.plain(said.text)
    before, after = text[: span.start], text[span.end :]
    named = set(words.split_identifier(one.name))
    tokens = words.tokenize(after)[:1] + words.tokenize(before)[-1:]
    near = any(words.is_similar(part, word) for part in named for word in tokens)
    money = bool(_MONEY.match(after)) or before.rstrip().endswith(("€", "$", "£"))
    priced = bool(named & {"price", "cost", "amount", "budget", "money", "rent"})
    busy = [*dates.moments(text), *(length for length, _ in dates.lengths(text))]
    if any(span.meets(moment) for moment in busy) and not near:
        return 1 if one.needed else 0
    if priced:
        limited = bool(_LIMIT.search(before))
        return 4 if money else 3 if limited else 2 if one.needed else 0
    if money:
        return 0
    if text[span.start : span.end] == "one" and _NO_COUNT.search(before):
        return 1 if one.needed else 0
    if near:
        return 4
    counted = _NOUN.match(after)
    if not one.needed and counted and not named & _COUNTS and encoder is not None:
        name = " ".join(words.split_identifier(one.name))
        if float(encoder.encode(counted[1]) @ encoder.encode(name)) < _NEAR:
            return 0
    return 3


def _with_unit(said: Said, span: Span, name: str) -> Span:
    """The number with its currency, percent sign or "times"."""
    text = dates.plain(said.text)
    unit = re.match(
        r"\s*(?:euros?|dollars?|bucks|pounds?|[€$£%]|percent|degrees?(?: celsius)?|times"
        r"|(?:boxes|packs|packets|bottles|pairs|pieces|cans|bags|units) of)(?!\w)",
        text[span.end :],
    )
    lead = _LIMIT.search(text[: span.start])
    start = lead.start() if lead and not lead.group().startswith("for") else span.start
    named = "|".join(re.escape(word) for word in words.split_identifier(name) if len(word) > 2)
    beside = named and re.search(
        rf"(?:\b(?:at|to|with|by|on|in)\s+)?(?:(?:an?|the)\s+)?\b(?:{named})s?"
        r"(?:\s+(?:of|to|at|is))?\s+$",
        text[max(0, start - 60) : start],
    )
    start -= len(beside.group()) if beside else 0
    return Span(start, span.end + (unit.end() if unit else 0))
