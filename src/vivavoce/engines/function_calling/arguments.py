"""Fill the arguments of a function call from the user's utterance (slot filling).

Every value comes from the utterance: strings are spans of it, numbers are the numbers in it,
enumerations and booleans come from the schema. Durations are converted to the unit that the
parameter asks for. The surest kinds of value are assigned first, and their spans are no longer
available to the others: codes, durations, dates and times, numbers, then people and places, then
texts, and last the object of the request. Optional parameters without evidence are left out.

A required string without a matching pattern gets the longest free span. A call that does not fit
its schema is not made: `MissingArgument` makes the caller ask the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import (
    dates,
    enums,
    parameter_kinds,
    quantities,
    schema,
    text_spans,
    words,
)
from vivavoce.engines.function_calling.dates import Span
from vivavoce.engines.function_calling.parameter_kinds import Property, Role
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.text_spans import Said

_LONGEST_SPAN = 12
_PLACED = re.compile(r"\b(?:of|into|to|from|in) (?:the|a) (?:\w+ )?(\w+)\b")
_MOST_SPANS = 60
_MOST_SIGNS = 1000
_EDGE = words.word_set(
    "a an the some any to for of in on at by with and or that please me my from about is are"
    " it as into called named us hey"
)
_SPAN_WORD = re.compile(r"[^\s,.;:!?\"]+(?:[.,:][^\s,.;:!?\"]+)*")
_ORDER = (
    Role.CODE, Role.DAY, Role.MOMENT, Role.LANGUAGE, Role.SOURCE, Role.TARGET, Role.PERSON,
    Role.TEXT, Role.NEW_NAME, Role.PLACE, Role.THING,
)  # fmt: skip


class MissingArgument(Exception):  # control flow between filler and planner, never shown
    """A required argument, `name`, is not in the utterance."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def fill(tool: ToolDeclaration, utterance: str, encoder: MiniLM | None = None) -> dict[str, Any]:
    """Return the arguments of a call of `tool`.

    `encoder` compares the utterance with enumeration values; without it only words count.
    Blocking: under 10 ms for most declarations.
    Raises `MissingArgument` when a required argument is not in the utterance.
    """
    if not tool.parameters:
        return {}
    shape = schema.plain(tool.parameters)
    values = _Filling(tool, Said(utterance[:_MOST_SIGNS]), encoder).object(shape, 0)
    if not schema.accepts(shape, values):
        raise MissingArgument(next(iter(sorted(schema.required(shape) - set(values))), ""))
    return values


class _Filling:
    """Fills one call; what a value was made of is taken out of what is left."""

    def __init__(self, tool: ToolDeclaration, said: Said, encoder: MiniLM | None) -> None:
        self._tool = tool
        self._said = said
        self._encoder = encoder

    def object(self, shape: Json, depth: int) -> dict[str, Any]:
        needed = schema.required(shape)
        wanted = [
            Property(name, one, name in needed) for name, one in schema.properties(shape).items()
        ]
        found: dict[str, Any] = {}
        things = [one for one in wanted if one.needed and self._is_thing(one)]
        for one in sorted(wanted, key=self._rank):
            if len(things) > 1 and one in things:
                continue  # which is which, no turn of speech tells
            value = self._value(one, wanted, depth)
            if value is not None and schema.accepts(one.about, value):
                found[one.name] = value
            elif one.needed and "default" in one.about:
                found[one.name] = one.about["default"]
        missing = [one for one in wanted if one.needed and one.name not in found]
        if missing:
            found |= self._longest(missing)
        return {one.name: found[one.name] for one in wanted if one.name in found}

    def _is_thing(self, one: Property) -> bool:
        return (
            one.kind == "string"
            and parameter_kinds.role(one.name, one.about, self._tool) is Role.THING
        )

    def _rank(self, one: Property) -> int:
        if one.kind == "string":
            place = _ORDER.index(parameter_kinds.role(one.name, one.about, self._tool))
            return 2 if place < 3 else 4 + place
        if one.kind in ("integer", "number"):
            return 1 if parameter_kinds.unit_of_time(one.name, one.about) else 3
        return 4 if one.kind in ("enum", "boolean") else 20

    def _value(self, one: Property, all_: Sequence[Property], depth: int) -> Any:
        match one.kind:
            case "enum":
                return self._enum(one)
            case "boolean":
                return self._boolean(one)
            case "integer" | "number":
                return self._number(one)
            case "string":
                return self._string(one, all_)
            case "array" if depth < 2:
                item = Property(one.name, schema.plain(one.about.get("items")), one.needed)
                value = self._value(item, all_, depth + 1)
                return None if value is None else [value]
            case "object" if depth < 2:
                inner = _Filling(self._tool, self._said, self._encoder)
                return inner.object(one.about, depth + 1) if one.needed else None
        return None

    def _enum(self, one: Property) -> Any:
        found = enums.enum_value(one, self._said.text, self._encoder)
        if found is None:
            return None
        value, span = found[:2]
        if span is not None:
            self._said = self._said.without(text_spans.with_context(self._said, span, one.name))
        return value

    def _boolean(self, one: Property) -> bool | None:
        found = enums.boolean(one, self._said.text, self._tool, self._encoder)
        if found is None:
            return None
        if found[1] is not None and not one.needed:
            self._said = self._said.without(found[1])
        return found[0]

    def _number(self, one: Property) -> int | float | None:
        found = quantities.quantity(one, self._said, self._encoder)
        if found is None:
            return None
        self._said = self._said.without(found[1])
        return found[0]

    # --- strings -----------------------------------------------------------------------------

    def _string(self, one: Property, all_: Sequence[Property]) -> str | None:
        said = self._said
        what = parameter_kinds.role(one.name, one.about, self._tool)
        span = self._span(one, what, all_)
        if span is None or not span.of(said.text).strip():
            return None
        taken = dates.with_preposition(said.text, span)
        self._said = said.without(taken if what in (Role.DAY, Role.MOMENT) else span)
        text = span.of(said.text)
        return text_spans.digits(text) if what is Role.CODE else text

    def _span(self, one: Property, what: Role, all_: Sequence[Property]) -> Span | None:
        said = self._said
        match what:
            case Role.DAY | Role.MOMENT:
                return self._moment(one, what)
            case Role.CODE:
                return text_spans.code(said)
            case Role.LANGUAGE:
                return text_spans.language(said)
            case Role.PERSON:
                informs = words.names_query(self._tool.name) or "read" in words.split_identifier(
                    self._tool.name
                )
                return text_spans.person(said, one.needed, giver=informs)
            case Role.SOURCE | Role.TARGET:
                found = text_spans.directed(said, what)
                return text_spans.thing(said, ()) if found is None and one.needed else found
            case Role.PLACE:
                return text_spans.place(said, one.needed)
            case Role.NEW_NAME:
                return text_spans.renamed(said)
            case Role.TEXT:
                return self._text(one, all_)
        if one.needed:
            about = tuple(_PLACED.findall(self._tool.description.lower()))
            return text_spans.thing(
                said, tuple(words.split_identifier(self._tool.name)), one.name, about
            )
        return text_spans.is_optional_thing(said, one.name, self._tool)

    def _text(self, one: Property, all_: Sequence[Property]) -> Span | None:
        person = next(
            (
                other
                for other in all_
                if other.kind == "string"
                and parameter_kinds.role(other.name, other.about, self._tool) is Role.PERSON
            ),
            None,
        )
        if person is None and "remind" in f"{self._tool.name} {self._tool.description}".lower():
            return text_spans.errand(self._said)
        if not one.needed and not text_spans.has_message(self._said):
            return None
        if person is None:
            named = tuple(words.split_identifier(self._tool.name))
            return text_spans.message(self._said, None, named)
        # Times inside a message are part of it.
        whole = Said(self._said.text)
        return text_spans.message(whole, text_spans.person(whole, True))

    def _moment(self, one: Property, what: Role) -> Span | None:
        said = self._said
        spans = dates.days(said.text) if what is Role.DAY else dates.moments(said.text)
        free = [span for span in spans if said.is_free(span)]
        if (
            not free
            and what is Role.MOMENT
            and (one.needed or "time" in words.split_identifier(one.name))
        ):
            free = [span for span in dates.hours(said.text) if said.is_free(span)][:1]
        hours = dates.times(said.text)
        if {"time", "hour"} & set(words.split_identifier(one.name)):
            # "Tomorrow I have to be up by six" says the day apart.
            free = [span for span in free if any(span.meets(hour) for hour in hours)] or free
        if what is Role.DAY and not free:
            free = [span for span in dates.moments(said.text) if said.is_free(span)]
        if re.search(r"until|till|end", one.name):
            return free[-1] if free else None
        # "Move lunch on monday to friday": the newest is said last.
        return (
            (free[-1] if "new" in words.split_identifier(one.name) else free[0]) if free else None
        )

    # --- required strings without a pattern --------------------------------------------------

    def _longest(self, missing: Sequence[Property]) -> dict[str, str]:
        """Return the longest free span for each required string; nothing else is guessed."""
        found: dict[str, str] = {}
        for one in missing:
            role = parameter_kinds.role(one.name, one.about, self._tool)
            if one.kind != "string" or role in (Role.DAY, Role.MOMENT, Role.CODE, Role.LANGUAGE):
                raise MissingArgument(one.name)
            texts = (text for text in spans(self._tool, self._said) if text not in found.values())
            text = next((text for text in texts if schema.accepts(one.about, text)), None)
            if text is None:
                raise MissingArgument(one.name)
            found[one.name] = text
        return found


def spans(tool: ToolDeclaration, said: Said) -> list[str]:
    """The stretches of the utterance that may be a value, longest first.

    None begins with a word of the function's own name or with a word that only joins, and none
    meets what another argument has taken.
    """
    utterance = said.text
    found = [(m.start(), m.end(), m.group().lower()) for m in _SPAN_WORD.finditer(utterance)]
    named = words.split_identifier(tool.name)
    starts = [
        place
        for place, (_, _, word) in enumerate(found)
        if word not in _EDGE and not any(words.is_similar(word, part) for part in named)
    ]
    stops = [place for place, (_, _, word) in enumerate(found) if word not in _EDGE]
    result = [
        utterance[found[start][0] : found[stop][1]]
        for start in starts
        for stop in reversed(stops)
        if 0 <= stop - start < _LONGEST_SPAN and said.is_free(Span(found[start][0], found[stop][1]))
    ]
    return list(dict.fromkeys(result))[:_MOST_SPANS]
