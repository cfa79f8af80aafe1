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
_MAX_VARIANTS = 8
"""Variants of a function's whole schema that are tried."""
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


def fill_arguments(
    tool: ToolDeclaration, utterance: str, encoder: MiniLM | None = None
) -> dict[str, Any]:
    """Return the arguments of a call of `tool`.

    `encoder` compares phrases with parameters and listed values; without it only words count.
    Blocking: 20 ms of CPU for most declarations. Raises `MissingArgument` when a required
    argument is not in the utterance.
    """
    if not tool.parameters:
        return {}
    text = FreeText(utterance[:_MAX_CHARS])
    missing: MissingArgument | None = None
    for schema in tool.schema.variants(tool.schema.arguments)[:_MAX_VARIANTS]:
        try:
            arguments = _ArgumentFiller(tool, text, encoder).fill_object(schema)
        except MissingArgument as lack:
            missing = missing or lack
            continue
        if fits_schema(tool.schema.root, arguments):
            return arguments
        lacking = (name for name in parameter_schema.required(schema) if name not in arguments)
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
        """The identities of the schemas that are being filled: none is filled within itself."""
        self._lacks: dict[str, MissingArgument] = {}
        """What objects lack that were to be values."""
        self._wanted: Sequence[Parameter] = ()
        self._found: dict[str, Any] = {}
        self._quantities: values.Quantities | None = None
        """The numbers chosen for the parameters, once the first of them is asked for."""

    def fill_object(self, schema: Json) -> dict[str, Any]:
        """Return the properties of an object. Raises `MissingArgument`."""
        wanted = declarations.parameters_of(self._tool.schema, schema)
        self._wanted = wanted
        self._reserve_message(wanted)
        named = {word for parameter in wanted for word in words.split_identifier(parameter.name)}
        self._has_unit = bool(named & {"currency", "unit", "units"})
        found = self._found
        for parameter in sorted(wanted, key=self._rank):
            value = self._value(parameter, wanted)
            if value is not None and parameter.accepts(value):
                found[parameter.name] = value
        found |= self._strings([parameter for parameter in wanted if parameter.name not in found])
        for parameter in wanted:
            if parameter.name not in found:
                found |= self._by_other_variants(parameter, wanted)
            if parameter.needed and parameter.name not in found:
                if (implied := parameter.implied) is UNKNOWN:
                    raise self._lacks.get(parameter.name) or MissingArgument(parameter.name)
                found[parameter.name] = implied
        return {
            parameter.name: found[parameter.name] for parameter in wanted if parameter.name in found
        }

    def _by_other_variants(
        self, parameter: Parameter, wanted: Sequence[Parameter]
    ) -> dict[str, Any]:
        """Return the value by the first further variant of the schema that yields one."""
        for other in parameter.others:
            value = self._value(other, wanted)
            if value is not None and other.accepts(value):
                return {parameter.name: value}
            if found := self._strings([other]):
                return found
        return {}

    def _reserve_message(self, wanted: Sequence[Parameter]) -> None:
        """Reserve a message to a person as a whole: times inside it are part of it."""
        kinds = {self._kind(parameter) for parameter in wanted if parameter.kind == "string"}
        self._message: Phrase | None = None
        if {ParameterKind.TEXT, ParameterKind.PERSON} <= kinds:
            self._message = phrases.find_message(self._free.text)
        if self._message is not None:
            self._free = self._free.without(self._message.span)

    def _kind(self, parameter: Parameter) -> ParameterKind:
        return declarations.kind_of(parameter.name, parameter.schema, self._tool)

    def _may_be_phrase(self, parameter: Parameter) -> bool:
        """Return whether a phrase may be the value; a required code may be a name."""
        kind = self._kind(parameter)
        return kind not in _FORMS or (kind is ParameterKind.CODE and parameter.needed)

    def _rank(self, parameter: Parameter) -> int:
        """Return the order in which values are taken: the surest forms first."""
        match parameter.kind:
            case "integer" | "number":
                return 1 if values.find_duration(parameter, self._free) else 3
            case "string":
                form = 0 if self._kind(parameter) is ParameterKind.CODE else 2
                return form if "type" in parameter.schema else 7
            case "array" if (item := _item(parameter)) and values.are_weekdays(item.schema):
                return 1
            case "enum":
                return 4 if parameter.needed else 5
            case "boolean":
                return 6
        return 7

    def _value(self, parameter: Parameter, wanted: Sequence[Parameter]) -> Any:
        match parameter.kind:
            case "enum":
                return self._enum(parameter)
            case "boolean":
                return self._boolean(parameter)
            case "integer" | "number":
                return self._number(parameter)
            case "string" if self._kind(parameter) in _FORMS:
                return self._form(parameter, wanted)
            case "string" if "type" not in parameter.schema:
                return self._number(
                    replace(parameter, schema={**parameter.schema, "type": "number"})
                )
            case "array" if parameter.schema.get("prefixItems"):
                return self._tuple(parameter)
            case "array" if not _holds_strings(parameter) or _has_untyped_items(parameter):
                return self._array(parameter, wanted)
            case "object" if parameter.needed:
                return self._object(parameter.name, parameter.schema)
        return None

    def _object(self, name: str, schema: Json) -> dict[str, Any] | None:
        """Return an object that is a value; `None` if something is missing for it."""
        if id(schema) in self._within or len(self._within) >= _MAX_DEPTH:
            return None
        within = (*self._within, id(schema))
        inner = _ArgumentFiller(self._tool, self._free, self._encoder, within)
        try:
            found = inner.fill_object(schema)
        except MissingArgument as lack:
            self._lacks.setdefault(name, lack)
            return None
        self._free = inner._free
        return found

    def _tuple(self, parameter: Parameter) -> list[Any] | None:
        """Return an array whose items have schemas of their own, filled like an object."""
        names = {
            f"{place} {parameter.name}": item
            for place, item in enumerate(parameter.schema["prefixItems"])
        }
        schema = {"properties": names, "required": list(names) if parameter.needed else []}
        found = self._object(parameter.name, schema)
        if found is None or len(found) < len(names):
            self._lacks[parameter.name] = MissingArgument(parameter.name)
            return None
        return list(found.values())

    def _array(self, parameter: Parameter, wanted: Sequence[Parameter]) -> list[Any] | None:
        """Return an array of one value, or of all numbers or listed values in the utterance."""
        item = _item(parameter)
        if item is not None and id(item.schema) in self._within:
            return [] if parameter.needed else None
        if item is not None and values.are_weekdays(item.schema):
            group = values.find_weekday_group(item, self._free)
            if group is not None:
                self._free = self._free.without(numbers.with_preposition(self._free.text, group[1]))
                return group[0]
        found: list[Any] = []
        places: list[int] = []
        while item is not None and (value := self._value(item, wanted)) is not None:
            if value in found or len(found) >= parameter.schema.get("maxItems", _MAX_CHARS):
                break
            found.append(value)
            places.append(self._free.taken[-1].start if self._free.taken else 0)
            if item.kind not in ("enum", "integer", "number"):
                break
            item = replace(item, needed=False)
        in_order = sorted(range(len(found)), key=places.__getitem__)
        return [found[n] for n in in_order] or None

    def _enum(self, parameter: Parameter) -> Any:
        # The word for a currency stands within what the amount has taken: "eleven francs twenty".
        text = self._free.text if values.lists_currencies(parameter) else self._free.masked
        if self._kind(parameter) in _SIDES:
            text = _side(text, self._kind(parameter))
        found = values.find_enum_value(parameter, text, self._encoder)
        if found is None and parameter.needed and text != self._free.text:
            found = values.find_enum_value(parameter, self._free.text, self._encoder)
        if found is None:
            return None
        value, span = found
        if span is not None:
            self._free = self._free.without(
                phrases.with_context(self._free.text, span, parameter.name)
            )
        return value

    def _boolean(self, parameter: Parameter) -> bool | None:
        found = values.find_boolean(parameter, self._free.text, self._tool, self._encoder)
        if found is None:
            return None
        if found[1] is not None and not parameter.needed:
            self._free = self._free.without(found[1])
        return found[0]

    def _number(self, parameter: Parameter) -> int | float | None:
        found = values.find_duration(parameter, self._free) or self._quantity(parameter)
        if found is None:
            return None
        self._free = self._free.without(found[1])
        return found[0]

    def _quantity(self, parameter: Parameter) -> tuple[int | float, Span] | None:
        """Return a number by the choice for all parameters; by itself for items of arrays."""
        counted = [
            each
            for each in self._wanted
            if each.kind in ("integer", "number") and each.name not in self._found
        ]
        if parameter not in counted:
            counted = [parameter]
        elif self._quantities is not None:
            return self._quantities.get(parameter.name)
        chosen = values.find_quantities(counted, self._free, self._encoder, self._has_unit)
        if counted != [parameter]:
            self._quantities = chosen
        return chosen.get(parameter.name)

    def _form(self, parameter: Parameter, wanted: Sequence[Parameter]) -> str | None:
        kind = self._kind(parameter)
        match kind:
            case ParameterKind.CODE:
                span = _find_code(self._free)
            case ParameterKind.LANGUAGE:
                span = _find_language(self._free)
            case ParameterKind.AMOUNT:
                span = _find_amount(self._free)
            case _:
                span = self._moment(parameter, kind, wanted)
        if span is None or not span.of(self._free.text).strip():
            return None
        text = span.of(self._free.text)
        whole = phrases.with_context(self._free.text, span, parameter.name)
        self._free = self._free.without(numbers.with_preposition(self._free.text, whole))
        return _spell_digits(text) if kind is ParameterKind.CODE else text

    def _moment(
        self, parameter: Parameter, kind: ParameterKind, wanted: Sequence[Parameter]
    ) -> Span | None:
        text, named = self._free.masked, set(words.split_identifier(parameter.name))
        moments, days, hours = (
            numbers.find_moments(text),
            numbers.find_days(text),
            numbers.find_times(text),
        )
        others = {self._kind(other) for other in wanted
                  if other.kind == "string" and other is not parameter}  # fmt: skip
        if kind is ParameterKind.DAY:
            spans = days if ParameterKind.MOMENT in others else moments
            spans = [span for span in spans if any(span.meets(day) for day in days)] or moments
        elif ParameterKind.DAY in others or {"time", "hour"} & named:
            spans = hours if ParameterKind.DAY in others else moments
            spans = [span for span in spans if any(span.meets(hour) for hour in hours)] or moments
        else:
            spans = moments
        found = [span for span in spans if self._free.is_free(span)]
        if not found and kind is ParameterKind.MOMENT and (parameter.needed or "time" in named):
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
            Slot(parameter, self._kind(parameter))
            for parameter in missing
            if (parameter.kind == "string" and self._may_be_phrase(parameter))
            or _holds_strings(parameter)
        ]
        if not slots:
            return {}
        text = self._free.text
        named = words.split_identifier(self._tool.name)
        verbs = words.tokenize(declarations.summary(self._tool))[:1]
        timed = any(
            self._kind(parameter) in (ParameterKind.DAY, ParameterKind.MOMENT)
            or declarations.unit_of_time(parameter.name, parameter.schema)
            for parameter in self._wanted
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


def _item(parameter: Parameter) -> Parameter | None:
    """Return an item of an array as a parameter; `None` if nothing fits it."""
    place = parameter.schema.get("items", True)
    variants = parameter.tool_schema.variants(place)
    return replace(parameter, place=place, schema=variants[0]) if variants else None


def _has_untyped_items(parameter: Parameter) -> bool:
    item = _item(parameter)
    return item is not None and "type" not in item.schema


def _holds_strings(parameter: Parameter) -> bool:
    if parameter.kind != "array" or parameter.schema.get("prefixItems"):
        return False
    item = _item(parameter)
    return item is not None and item.kind == "string"


def _strings_of(parameter: Parameter, text: str, kind: ParameterKind) -> Any:
    if parameter.kind == "array":
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
