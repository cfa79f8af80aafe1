"""Fill the arguments of a function call from the user's utterance (slot filling).

Every value comes from the utterance: strings are spans of it, numbers are the numbers in it,
enumerations and booleans come from the schema. Values with a form of their own are taken first
(codes, durations, numbers, dates and times, listed values); the phrases that are left are
assigned to the strings. Durations are converted to the unit that the parameter asks for. Optional
parameters without evidence are left out; required ones get what their schema implies (a default,
the only value allowed, null). Where a schema has alternatives, the next is tried when the
utterance holds nothing for the first.

A call that does not fit its schema is not made: `MissingArgument` makes the caller ask the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vivavoce.domain import parameter_schema
from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import (
    assignment,
    declarations,
    numbers,
    phrases,
    values,
    words,
)
from vivavoce.engines.function_calling.assignment import Slot
from vivavoce.engines.function_calling.declarations import UNKNOWN, Parameter, ParameterKind
from vivavoce.engines.function_calling.phrases import FreeText, Phrase
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.words import Span
from vivavoce.engines.tool_validation import fits_schema

_MAX_CHARS = 1000
"""Characters of an utterance that are read."""
_MAX_DEPTH = 6
"""Objects and lists within one another."""
_MAX_SHAPES = 8
"""Readings of a function's whole schema that are tried."""
_FORMS = (
    ParameterKind.CODE,
    ParameterKind.DAY,
    ParameterKind.MOMENT,
    ParameterKind.LANGUAGE,
    ParameterKind.AMOUNT,
)
"""Kinds of strings with a form of their own."""
_SEPARATOR = re.compile(r"\s*,\s*(?:(?:and|or)\s+)?|\s+(?:and|or|plus|as well as)\s+")
_NAME_AFTER = re.compile(r" [A-Z][a-z]")
"""A name that a number may belong to: "12 Abbey Road"."""
_SIDES = {
    ParameterKind.SOURCE: re.compile(r"\b(?:from|out of)\b"),
    ParameterKind.TARGET: re.compile(r"\b(?:to|into|in|onto)\b"),
}


class MissingArgument(Exception):  # control flow between filler and planner, never shown
    """A required argument, `name`, is not in the utterance."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def fill(tool: ToolDeclaration, utterance: str, encoder: MiniLM | None = None) -> dict[str, Any]:
    """Return the arguments of a call of `tool`.

    `encoder` compares phrases with parameters and listed values; without it only words count.
    Blocking: 20 ms of CPU for most declarations. Raises `MissingArgument` when a required
    argument is not in the utterance.
    """
    if not tool.parameters:
        return {}
    text = FreeText(utterance[:_MAX_CHARS])
    missing: MissingArgument | None = None
    for shape in tool.schema.readings(tool.schema.arguments)[:_MAX_SHAPES]:
        try:
            values = _ArgumentFiller(tool, text, encoder).object(shape)
        except MissingArgument as lack:
            missing = missing or lack
            continue
        if fits_schema(tool.schema.root, values):
            return values
        lacking = (name for name in parameter_schema.required(shape) if name not in values)
        missing = missing or MissingArgument(next(lacking, ""))
    raise missing or MissingArgument("")


class _ArgumentFiller:
    """State of filling one call; a span that became a value is no longer free for others."""

    def __init__(
        self,
        tool: ToolDeclaration,
        free: FreeText,
        encoder: MiniLM | None,
        within: tuple[int, ...] = (),
    ) -> None:
        self._tool = tool
        self._free = free
        self._encoder = encoder
        self._within = within
        """The identities of the shapes that are being filled: none is filled within itself."""
        self._lacks: dict[str, MissingArgument] = {}
        """What objects lack that were to be values."""
        self._wanted: Sequence[Parameter] = ()
        self._found: dict[str, Any] = {}
        self._quantities: values.Quantities | None = None
        """The numbers chosen for the parameters, once the first of them is asked for."""

    def object(self, shape: Json) -> dict[str, Any]:
        """Return the properties of an object. Raises `MissingArgument`."""
        wanted = declarations.parameters_of(self._tool.schema, shape)
        self._wanted = wanted
        self._reserve_message(wanted)
        named = {word for one in wanted for word in words.split_identifier(one.name)}
        self._has_unit = bool(named & {"currency", "unit", "units"})
        found = self._found
        for one in sorted(wanted, key=self._rank):
            value = self._value(one, wanted)
            if value is not None and one.accepts(value):
                found[one.name] = value
        found |= self._strings([one for one in wanted if one.name not in found])
        for one in wanted:
            if one.name not in found:
                found |= self._by_other_readings(one, wanted)
            if one.needed and one.name not in found:
                if (implied := one.implied) is UNKNOWN:
                    raise self._lacks.get(one.name) or MissingArgument(one.name)
                found[one.name] = implied
        return {one.name: found[one.name] for one in wanted if one.name in found}

    def _by_other_readings(self, one: Parameter, wanted: Sequence[Parameter]) -> dict[str, Any]:
        """Return the value by the first further reading for which there is one."""
        for other in one.others:
            value = self._value(other, wanted)
            if value is not None and other.accepts(value):
                return {one.name: value}
            if found := self._strings([other]):
                return found
        return {}

    def _reserve_message(self, wanted: Sequence[Parameter]) -> None:
        """Reserve a message to a person as a whole: times inside it are part of it."""
        kinds = {self._kind(one) for one in wanted if one.kind == "string"}
        self._message: Phrase | None = None
        if {ParameterKind.TEXT, ParameterKind.PERSON} <= kinds:
            self._message = phrases.find_message(self._free.text)
        if self._message is not None:
            self._free = self._free.without(self._message.span)

    def _kind(self, one: Parameter) -> ParameterKind:
        return declarations.kind_of(one.name, one.about, self._tool)

    def _may_be_phrase(self, one: Parameter) -> bool:
        """Return whether a phrase may be the value; a required code may be a name."""
        kind = self._kind(one)
        return kind not in _FORMS or (kind is ParameterKind.CODE and one.needed)

    def _rank(self, one: Parameter) -> int:
        """Return the order in which values are taken: the surest forms first."""
        match one.kind:
            case "integer" | "number":
                return 1 if values.find_duration(one, self._free) else 3
            case "string":
                form = 0 if self._kind(one) is ParameterKind.CODE else 2
                return form if "type" in one.about else 7
            case "array" if (item := _item(one)) and values.are_weekdays(item.about):
                return 1
            case "enum":
                return 4 if one.needed else 5
            case "boolean":
                return 6
        return 7

    def _value(self, one: Parameter, wanted: Sequence[Parameter]) -> Any:
        match one.kind:
            case "enum":
                return self._enum(one)
            case "boolean":
                return self._boolean(one)
            case "integer" | "number":
                return self._number(one)
            case "string" if self._kind(one) in _FORMS:
                return self._form(one, wanted)
            case "string" if "type" not in one.about:
                return self._number(replace(one, about={**one.about, "type": "number"}))
            case "array" if one.about.get("prefixItems"):
                return self._tuple(one)
            case "array" if not _holds_strings(one) or _has_untyped_items(one):
                return self._array(one, wanted)
            case "object" if one.needed:
                return self._object(one.name, one.about)
        return None

    def _object(self, name: str, shape: Json) -> dict[str, Any] | None:
        """Return an object that is a value; `None` if something is missing for it."""
        if id(shape) in self._within or len(self._within) >= _MAX_DEPTH:
            return None
        within = (*self._within, id(shape))
        inner = _ArgumentFiller(self._tool, self._free, self._encoder, within)
        try:
            found = inner.object(shape)
        except MissingArgument as lack:
            self._lacks.setdefault(name, lack)
            return None
        self._free = inner._free
        return found

    def _tuple(self, one: Parameter) -> list[Any] | None:
        """Return an array whose items have schemas of their own, filled like an object."""
        names = {f"{place} {one.name}": item for place, item in enumerate(one.about["prefixItems"])}
        shape = {"properties": names, "required": list(names) if one.needed else []}
        found = self._object(one.name, shape)
        if found is None or len(found) < len(names):
            self._lacks[one.name] = MissingArgument(one.name)
            return None
        return list(found.values())

    def _array(self, one: Parameter, wanted: Sequence[Parameter]) -> list[Any] | None:
        """Return an array of one value, or of all numbers or listed values in the utterance."""
        item = _item(one)
        if item is not None and id(item.about) in self._within:
            return [] if one.needed else None
        if item is not None and values.are_weekdays(item.about):
            group = values.find_weekday_group(item, self._free)
            if group is not None:
                self._free = self._free.without(numbers.with_preposition(self._free.text, group[1]))
                return group[0]
        found: list[Any] = []
        places: list[int] = []
        while item is not None and (value := self._value(item, wanted)) is not None:
            if value in found or len(found) >= one.about.get("maxItems", _MAX_CHARS):
                break
            found.append(value)
            places.append(self._free.taken[-1].start if self._free.taken else 0)
            if item.kind not in ("enum", "integer", "number"):
                break
            item = replace(item, needed=False)
        in_order = sorted(range(len(found)), key=places.__getitem__)
        return [found[n] for n in in_order] or None

    def _enum(self, one: Parameter) -> Any:
        # The word for a currency stands within what the amount has taken: "eleven francs twenty".
        text = self._free.text if values.lists_currencies(one) else self._free.masked
        if self._kind(one) in _SIDES:
            text = _side(text, self._kind(one))
        found = values.find_enum_value(one, text, self._encoder)
        if found is None and one.needed and text != self._free.text:
            found = values.find_enum_value(one, self._free.text, self._encoder)
        if found is None:
            return None
        value, span = found
        if span is not None:
            self._free = self._free.without(phrases.with_context(self._free.text, span, one.name))
        return value

    def _boolean(self, one: Parameter) -> bool | None:
        found = values.find_boolean(one, self._free.text, self._tool, self._encoder)
        if found is None:
            return None
        if found[1] is not None and not one.needed:
            self._free = self._free.without(found[1])
        return found[0]

    def _number(self, one: Parameter) -> int | float | None:
        found = values.find_duration(one, self._free) or self._quantity(one)
        if found is None:
            return None
        self._free = self._free.without(found[1])
        return found[0]

    def _quantity(self, one: Parameter) -> tuple[int | float, Span] | None:
        """Return a number by the choice for all parameters; by itself for items of arrays."""
        counted = [
            each
            for each in self._wanted
            if each.kind in ("integer", "number") and each.name not in self._found
        ]
        if one not in counted:
            counted = [one]
        elif self._quantities is not None:
            return self._quantities.get(one.name)
        chosen = values.find_quantities(counted, self._free, self._encoder, self._has_unit)
        if counted != [one]:
            self._quantities = chosen
        return chosen.get(one.name)

    def _form(self, one: Parameter, wanted: Sequence[Parameter]) -> str | None:
        kind = self._kind(one)
        match kind:
            case ParameterKind.CODE:
                span = _find_code(self._free)
            case ParameterKind.LANGUAGE:
                span = _find_language(self._free)
            case ParameterKind.AMOUNT:
                span = _find_amount(self._free)
            case _:
                span = self._moment(one, kind, wanted)
        if span is None or not span.of(self._free.text).strip():
            return None
        text = span.of(self._free.text)
        whole = phrases.with_context(self._free.text, span, one.name)
        self._free = self._free.without(numbers.with_preposition(self._free.text, whole))
        return _spell_digits(text) if kind is ParameterKind.CODE else text

    def _moment(
        self, one: Parameter, kind: ParameterKind, wanted: Sequence[Parameter]
    ) -> Span | None:
        text, named = self._free.masked, set(words.split_identifier(one.name))
        moments, days, hours = (
            numbers.find_moments(text),
            numbers.find_days(text),
            numbers.find_times(text),
        )
        others = {self._kind(other) for other in wanted
                  if other.kind == "string" and other is not one}  # fmt: skip
        if kind is ParameterKind.DAY:
            spans = days if ParameterKind.MOMENT in others else moments
            spans = [span for span in spans if any(span.meets(day) for day in days)] or moments
        elif ParameterKind.DAY in others or {"time", "hour"} & named:
            spans = hours if ParameterKind.DAY in others else moments
            spans = [span for span in spans if any(span.meets(hour) for hour in hours)] or moments
        else:
            spans = moments
        found = [span for span in spans if self._free.is_free(span)]
        if not found and kind is ParameterKind.MOMENT and (one.needed or "time" in named):
            hours_alone = [
                span
                for span in numbers.find_hours(text)
                if self._free.is_free(span) and not _NAME_AFTER.match(self._free.text, span.end)
            ]
            counts = sum(other.needed and other.kind in ("integer", "number") for other in wanted)
            found = hours_alone[:1] if len(numbers.locate_numbers(text)) > counts else []
        if not found:
            return None
        # "Move lunch on monday to friday": the newest is said last.
        return found[-1] if {"new", "until", "till", "end"} & named else found[0]

    def _strings(self, missing: Sequence[Parameter]) -> dict[str, Any]:
        """Return the strings, and arrays of strings, that the phrases left over stand for."""
        slots = [
            Slot(one, self._kind(one))
            for one in missing
            if (one.kind == "string" and self._may_be_phrase(one)) or _holds_strings(one)
        ]
        if not slots:
            return {}
        text = self._free.text
        named = words.split_identifier(self._tool.name)
        verbs = words.tokenize(declarations.summary(self._tool))[:1]
        timed = any(
            self._kind(one) in (ParameterKind.DAY, ParameterKind.MOMENT)
            or declarations.unit_of_time(one.name, one.about)
            for one in self._wanted
        )
        worded = any(slot.kind is ParameterKind.TEXT for slot in slots)
        found = phrases.split_phrases(text, self._free.taken, named, verbs, timed, worded)
        if self._message is not None:
            found.append(self._message)
        spans = assignment.assign(slots, found, text, self._tool, self._encoder, self._free.taken)
        result: dict[str, Any] = {}
        for slot in slots:
            if span := spans.get(slot.parameter.name):
                if not timed and slot.kind is not ParameterKind.TEXT:
                    span = numbers.without_day(text, span)
                value = _strings_of(slot.parameter, span.of(text), slot.kind)
                if value and slot.parameter.accepts(value):
                    result[slot.parameter.name] = value
        return result


def _side(text: str, kind: ParameterKind) -> str:
    """Return the text with all but what follows "from", or "to", blanked out."""
    found = _SIDES[kind].search(text)
    if found is None:
        return text
    others = (_SIDES[other].search(text, found.end()) for other in _SIDES if other is not kind)
    end = min((other.start() for other in others if other), default=len(text))
    return " " * found.end() + text[found.end() : end]


def _item(one: Parameter) -> Parameter | None:
    """Return an item of an array as a parameter; `None` if nothing fits it."""
    place = one.about.get("items", True)
    readings = one.schema.readings(place)
    return replace(one, place=place, about=readings[0]) if readings else None


def _has_untyped_items(one: Parameter) -> bool:
    item = _item(one)
    return item is not None and "type" not in item.about


def _holds_strings(one: Parameter) -> bool:
    if one.kind != "array" or one.about.get("prefixItems"):
        return False
    item = _item(one)
    return item is not None and item.kind == "string"


def _strings_of(one: Parameter, text: str, kind: ParameterKind) -> Any:
    if one.kind == "array":
        items = (re.sub(r"^(?:the|an?|some|my)\s+", "", item) for item in _SEPARATOR.split(text))
        return [item for item in items if item]
    return text if kind is ParameterKind.TEXT else text.split(", ")[0]


# --- strings with a form ------------------------------------------------------------------

_CODE = re.compile(r"\+?(?:\b[a-z]*\d[\w-]*\b)(?:[ -]?\b[a-z]?\d[\w-]*\b)*")
_COUNTED = re.compile(
    r"(?:\s+(?:an?|more))?\s*(?!(?:and|or|at|in|on|for|to|please|from|by|with|of)\b)[a-z%]{1,40}\b"
)
_DIGITS = {word: str(digit) for digit, word in enumerate(numbers.DIGIT_NAMES)} | {"oh": "0"}
_DIGIT = re.compile(rf"\b(?:{'|'.join(_DIGITS)})\b")
_CODE_WORDS = re.compile(rf"\b(?:(?:{'|'.join(_DIGITS)}|double)\b[ -]?){{2,}}")
_LANGUAGE = re.compile(
    r"\b(?:english|spanish|french|german|italian|portuguese|dutch|swedish|norwegian|danish|finnish"
    r"|icelandic|polish|czech|slovak|hungarian|romanian|bulgarian|serbian|croatian|slovenian|greek"
    r"|turkish|russian|ukrainian|arabic|hebrew|persian|farsi|urdu|hindi|bengali|punjabi|tamil"
    r"|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|swahili"
    r"|latin|irish|welsh|catalan|basque|estonian|latvian|lithuanian|albanian|esperanto)\b"
)


def _find_code(free: FreeText) -> Span | None:
    """Return the longest number as one dials or quotes it, with the capitals before it."""
    spans = words.find_spans(_CODE, free.text)
    spans += [Span(m.start(), len(m.group().rstrip()) + m.start())
              for m in _CODE_WORDS.finditer(free.plain)]  # fmt: skip
    found = [span for span in spans if free.is_free(span)]
    best = max(found, key=lambda span: span.end - span.start, default=None)
    if best is None:
        return None
    letters = re.search(r"\b[A-Z]{1,4} $", free.text[max(0, best.start - 6) : best.start])
    return Span(best.start - len(letters.group()), best.end) if letters else best


def _spell_digits(text: str) -> str:
    """Return a dialled number without what stands between its digits; other codes as they are."""
    digits = _DIGIT.sub(lambda found: _DIGITS[found.group()], text.lower())
    bare = re.sub(r"[\s-]", "", digits)
    return bare if bare.lstrip("+").isdigit() else text


def _find_amount(free: FreeText) -> Span | None:
    """Return a number with what is counted or measured: "two tablets", "half a liter"."""
    text = free.plain
    for _, start, end in numbers.locate_numbers(text):
        counted = _COUNTED.match(text, end)
        span = Span(start, counted.end() if counted else end)
        if free.is_free(span):
            return span
    return None


def _find_language(free: FreeText) -> Span | None:
    """Return the language named last: "say good morning in Japanese"."""
    spans = words.find_spans(_LANGUAGE, free.text)
    return spans[-1] if spans else None
