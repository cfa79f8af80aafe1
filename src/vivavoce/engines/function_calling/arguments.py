"""A call's arguments from the user's own words.

Every value is something that was said: strings are stretches of the utterance, numbers are those
spoken, enumerations and booleans come from the schema. Lengths of time are given in the unit
that the parameter asks for. What is surest is taken first and is not there any more for the
others: codes, lengths, moments, numbers, then people and places, then texts, and last the thing
that all of it is about. Optional values are left out unless their turn of speech was heard.

Where a needed string has no such turn of speech the model chooses a stretch, under a grammar
that can write nothing else. So a call is valid by construction, and one that would not fit its
schema is not made: the caller asks the user back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import (
    amounts,
    listed,
    moments,
    phrases,
    roles,
    schema,
    words,
)
from vivavoce.engines.function_calling.moments import Span
from vivavoce.engines.function_calling.phrases import Said
from vivavoce.engines.function_calling.roles import Property, Role

Choose = Callable[[str, str], str]
"""Asks the model: a prompt and a grammar, to the text it wrote."""

_LONGEST_SPAN = 12
_PLACED = re.compile(r"\b(?:of|into|to|from|in) (?:the|a) (?:\w+ )?(\w+)\b")
_MOST_SPANS = 60
_MOST_SIGNS = 1000
_EDGE = words.split_set(
    "a an the some any to for of in on at by with and or that please me my from about is are"
    " it as into called named us hey"
)
_SPAN_WORD = re.compile(r"[^\s,.;:!?\"]+(?:[.,:][^\s,.;:!?\"]+)*")
_ORDER = (
    Role.CODE, Role.DAY, Role.MOMENT, Role.SOURCE, Role.TARGET, Role.PERSON, Role.TEXT,
    Role.NEW_NAME, Role.PLACE, Role.THING,
)  # fmt: skip


class Unsaid(Exception):  # not an error of the tree: the caller asks the user back
    """A value that the function needs was not said."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def fill(tool: ToolDeclaration, utterance: str, choose: Choose) -> dict[str, Any]:
    """The arguments of a call of `tool`. Raises `Unsaid` when a required one was not said."""
    if not tool.parameters:
        return {}
    shape = schema.plain(tool.parameters)
    values = _Filling(tool, Said(utterance[:_MOST_SIGNS]), choose).object(shape, 0)
    if not schema.accepts(shape, values):
        raise Unsaid(next(iter(sorted(schema.required(shape) - set(values))), ""))
    return values


class _Filling:
    """Fills one call; what a value was made of is taken out of what is left."""

    def __init__(self, tool: ToolDeclaration, said: Said, choose: Choose) -> None:
        self._tool = tool
        self._said = said
        self._choose = choose

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
            found |= self._chosen(missing)
        return {one.name: found[one.name] for one in wanted if one.name in found}

    def _is_thing(self, one: Property) -> bool:
        return one.kind == "string" and roles.role(one.name, one.about, self._tool) is Role.THING

    def _rank(self, one: Property) -> int:
        if one.kind == "string":
            place = _ORDER.index(roles.role(one.name, one.about, self._tool))
            return 2 if place < 3 else 4 + place
        if one.kind in ("integer", "number"):
            return 1 if roles.unit_of_time(one.name, one.about) else 3
        return 4 if one.kind in ("enum", "boolean") else 20

    def _value(self, one: Property, all_: Sequence[Property], depth: int) -> Any:
        match one.kind:
            case "enum":
                return listed.enumerated(one, self._said.text)
            case "boolean":
                return listed.boolean(one, self._said.text, self._tool)
            case "integer" | "number":
                return self._number(one)
            case "string":
                return self._string(one, all_)
            case "array" if depth < 2:
                item = Property(one.name, schema.plain(one.about.get("items")), one.needed)
                value = self._value(item, all_, depth + 1)
                return None if value is None else [value]
            case "object" if depth < 2:
                inner = _Filling(self._tool, self._said, self._choose)
                return inner.object(one.about, depth + 1) if one.needed else None
        return None

    def _number(self, one: Property) -> int | float | None:
        found = amounts.amount(one, self._said)
        if found is None:
            return None
        self._said = self._said.without(found[1])
        return found[0]

    # --- strings -----------------------------------------------------------------------------

    def _string(self, one: Property, all_: Sequence[Property]) -> str | None:
        said = self._said
        what = roles.role(one.name, one.about, self._tool)
        span = self._span(one, what, all_)
        if span is None or not span.of(said.text).strip():
            return None
        taken = moments.with_preposition(said.text, span)
        self._said = said.without(taken if what in (Role.DAY, Role.MOMENT) else span)
        text = span.of(said.text)
        return phrases.digits(text) if what is Role.CODE else text

    def _span(self, one: Property, what: Role, all_: Sequence[Property]) -> Span | None:
        said = self._said
        match what:
            case Role.DAY | Role.MOMENT:
                return self._moment(one, what)
            case Role.CODE:
                return phrases.code(said)
            case Role.PERSON:
                informs = words.informs(self._tool.name) or "read" in words.of_name(self._tool.name)
                return phrases.person(said, one.needed, giver=informs)
            case Role.SOURCE | Role.TARGET:
                found = phrases.directed(said, what)
                return phrases.thing(said, ()) if found is None and one.needed else found
            case Role.PLACE:
                return phrases.place(said, one.needed)
            case Role.NEW_NAME:
                return phrases.renamed(said)
            case Role.TEXT:
                return self._text(one, all_)
        if one.needed:
            about = tuple(_PLACED.findall(self._tool.description.lower()))
            return phrases.thing(said, tuple(words.of_name(self._tool.name)), one.name, about)
        return phrases.is_optional_thing(said, one.name, self._tool)

    def _text(self, one: Property, all_: Sequence[Property]) -> Span | None:
        person = next(
            (
                other
                for other in all_
                if other.kind == "string"
                and roles.role(other.name, other.about, self._tool) is Role.PERSON
            ),
            None,
        )
        if person is None and "remind" in f"{self._tool.name} {self._tool.description}".lower():
            return phrases.errand(self._said)
        after = phrases.person(Said(self._said.text), True) if person else None
        # Times inside a message are part of it.
        return phrases.message(Said(self._said.text) if person else self._said, after)

    def _moment(self, one: Property, what: Role) -> Span | None:
        said = self._said
        spans = moments.days(said.text) if what is Role.DAY else moments.moments(said.text)
        free = [span for span in spans if said.is_free(span)]
        if not free and what is Role.MOMENT and (one.needed or "time" in words.of_name(one.name)):
            free = [span for span in moments.hours(said.text) if said.is_free(span)][:1]
        hours = moments.times(said.text)
        if {"time", "hour"} & set(words.of_name(one.name)):
            # "Tomorrow I have to be up by six" says the day apart.
            free = [span for span in free if any(span.meets(hour) for hour in hours)] or free
        if what is Role.DAY and not free:
            free = [span for span in moments.moments(said.text) if said.is_free(span)]
        if re.search(r"until|till|end", one.name):
            return free[-1] if free else None
        # "Move lunch on monday to friday": the newest is said last.
        return (free[-1] if "new" in words.of_name(one.name) else free[0]) if free else None

    # --- what nothing stood for --------------------------------------------------------------

    def _chosen(self, missing: Sequence[Property]) -> dict[str, str]:
        """Stretches that the model chooses for needed strings; nothing else is guessed."""
        slots: dict[str, list[str]] = {}
        for one in missing:
            role = roles.role(one.name, one.about, self._tool)
            if one.kind != "string" or role in (Role.DAY, Role.MOMENT, Role.CODE):
                raise Unsaid(one.name)
            texts = [text for text in spans(self._tool, self._said) if
                     schema.accepts(one.about, text)]  # fmt: skip
            if not texts:
                raise Unsaid(one.name)
            slots[one.name] = texts
        if all(len(texts) == 1 for texts in slots.values()):
            return {name: texts[0] for name, texts in slots.items()}
        written = self._choose(_prompt(self._tool, self._said.text), _grammar(slots))
        try:
            values = json.loads(written)
        except ValueError:  # it was cut off: the longest is as good as any
            values = {}
        return {
            name: values[name] if values.get(name) in texts else texts[0]
            for name, texts in slots.items()
        }


def spans(tool: ToolDeclaration, said: Said) -> list[str]:
    """The stretches of the utterance that may be a value, longest first.

    None begins with a word of the function's own name or with a word that only joins, and none
    meets what another argument has taken.
    """
    utterance = said.text
    found = [(m.start(), m.end(), m.group().lower()) for m in _SPAN_WORD.finditer(utterance)]
    named = words.of_name(tool.name)
    starts = [
        place
        for place, (_, _, word) in enumerate(found)
        if word not in _EDGE and not any(words.alike(word, part) for part in named)
    ]
    stops = [place for place, (_, _, word) in enumerate(found) if word not in _EDGE]
    result = [
        utterance[found[start][0] : found[stop][1]]
        for start in starts
        for stop in reversed(stops)
        if 0 <= stop - start < _LONGEST_SPAN and said.is_free(Span(found[start][0], found[stop][1]))
    ]
    return list(dict.fromkeys(result))[:_MOST_SPANS]


def _prompt(tool: ToolDeclaration, utterance: str) -> str:
    names = ", ".join(schema.properties(schema.plain(tool.parameters)))
    about = f" ({tool.description.split('. ')[0]})" if tool.description else ""
    return f"Request: {utterance}\nFunction: {tool.name}({names}){about}"


def _grammar(slots: Mapping[str, Sequence[str]]) -> str:
    """GBNF for one JSON object with one of the given values for each name, and no other."""
    rules, parts = [], []
    for number, (name, texts) in enumerate(slots.items()):
        literals = (_literal(json.dumps(text, ensure_ascii=False)) for text in texts)
        rules.append(f"v{number} ::= {' | '.join(literals)}")
        lead = ", " if number else "{"
        parts.append(f"{_literal(f'{lead}{json.dumps(name)}: ')} v{number}")
    return "\n".join([f"root ::= {' '.join(parts)} {_literal('}')}", *rules])


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
