"""A call's arguments from the user's own words.

Every value is something that was said: strings are spans of the utterance, numbers are those
spoken, enumerations and booleans come from the schema. Where more than one value is possible,
the model chooses under a grammar that can write nothing else; so a call is valid by
construction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.smollm import numerals, schema, words

Choose = Callable[[str, str], str]
"""Asks the model: a prompt and a grammar, to the text it wrote."""

_LONGEST_SPAN = 12
_EDGE = words.split_set(
    "a an the some any to for of in on at by with and or that please me my from about is are"
    " it as into called named us hey"
)
_TRUE = re.compile(r"\b(?:on|yes|true|enable|enabled|activate|with|start|open)\b")
_FALSE = re.compile(r"\b(?:off|no|not|false|disable|disabled|deactivate|without|stop|close)\b")
_SPAN_WORD = re.compile(r"[^\s,.;:!?\"]+(?:[.,:][^\s,.;:!?\"]+)*")


class Unsaid(Exception):  # not an error of the tree: the caller asks the user back
    """A value that the function needs was not said."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class _Slot:
    """One property and the JSON texts that it may become; `None` among them leaves it out."""

    name: str
    options: tuple[str | None, ...]


def fill(tool: ToolDeclaration, utterance: str, choose: Choose) -> dict[str, Any]:
    """The arguments of a call of `tool`. Raises `Unsaid` when a required one was not said."""
    if not tool.parameters:
        return {}
    shape = schema.plain(tool.parameters)
    slots = _slots(tool, shape, utterance)
    if all(len(slot.options) == 1 for slot in slots):
        return _assemble(slots, [slot.options[0] for slot in slots])
    written = choose(_prompt(tool, utterance), _grammar(slots))
    values = _read(written, slots)
    if not schema.accepts(shape, values):
        raise Unsaid(next(iter(schema.required(shape)), ""))
    return values


def _slots(tool: ToolDeclaration, shape: Json, utterance: str) -> list[_Slot]:
    needed = schema.required(shape)
    slots = []
    for name, one in schema.properties(shape).items():
        options: list[str | None] = list(_options(tool, name, one, utterance, 0))
        if name in needed and not options:
            if "default" in one:
                options = [json.dumps(one["default"])]
            else:
                raise Unsaid(name)
        elif name not in needed and not _mentioned(name, one, utterance):
            options = [None]
        slots.append(_Slot(name, tuple(options) or (None,)))
    return slots


def _mentioned(name: str, one: Json, utterance: str) -> bool:
    """Whether an optional value seems to have been said: its kind of word is there."""
    said = words.of_speech(utterance)
    if one.get("enum") or schema.kind(one) in ("integer", "number", "boolean"):
        return True
    return any(words.alike(word, heard) for word in words.of_name(name) for heard in said)


def _options(tool: ToolDeclaration, name: str, one: Json, utterance: str, depth: int) -> list[str]:
    wanted = schema.kind(one)
    if (allowed := one.get("enum")) is not None:
        found = _enumerated(allowed, utterance)
    elif wanted == "boolean":
        found = _booleans(name, utterance)
    elif wanted in ("integer", "number"):
        found = [n for n in numerals.spoken(utterance) if wanted == "number" or n == int(n)]
    elif wanted == "string":
        found = spans(tool, utterance)
    elif wanted == "array" and depth < 2:
        items = schema.plain(one.get("items"))
        return [f"[{text}]" for text in _options(tool, name, items, utterance, depth + 1)]
    elif wanted == "object" and depth < 2:
        inner = _slots(tool, one, utterance)
        return [json.dumps(_assemble(inner, [slot.options[0] for slot in inner]))]
    else:
        found = []
    return [json.dumps(value, ensure_ascii=False) for value in found if schema.accepts(one, value)]


def _enumerated(allowed: Sequence[Any], utterance: str) -> list[Any]:
    """The values that were named; in the order of the words that name them best."""
    said = words.of_speech(utterance)
    numbers = numerals.spoken(utterance)
    named = []
    for value in allowed:
        if isinstance(value, str):
            parts = words.of_name(value)
            if parts and all(any(words.alike(part, heard) for heard in said) for part in parts):
                named.append(value)
        elif value in numbers:
            named.append(value)
    return named


def _booleans(name: str, utterance: str) -> list[bool]:
    plain = utterance.lower()
    if _FALSE.search(plain):
        return [False]
    said = words.of_speech(utterance)
    named = any(words.alike(word, heard) for word in words.of_name(name) for heard in said)
    return [True] if named or _TRUE.search(plain) else []


def spans(tool: ToolDeclaration, utterance: str) -> list[str]:
    """The stretches of the utterance that may be a value, longest first.

    None begins with a word of the function's own name or with a word that only joins.
    """
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
        if 0 <= stop - start < _LONGEST_SPAN
    ]
    result = list(dict.fromkeys(result))
    return result or ([utterance.strip()] if utterance.strip() else [])


def _prompt(tool: ToolDeclaration, utterance: str) -> str:
    names = ", ".join(schema.properties(schema.plain(tool.parameters)))
    about = f" ({tool.description.split('. ')[0]})" if tool.description else ""
    return f"Request: {utterance}\nFunction: {tool.name}({names}){about}"


def _grammar(slots: Sequence[_Slot]) -> str:
    """GBNF for one JSON object with the given values, and no other."""
    rules = []
    parts = []
    for number, slot in enumerate(slots):
        options = [json.dumps("null" if text is None else text) for text in slot.options]
        rules.append(f"v{number} ::= {' | '.join(_literal(json.loads(o)) for o in options)}")
        lead = ", " if number else ""
        parts.append(f"{_literal(f'{lead}{json.dumps(slot.name)}: ')} v{number}")
    body = " ".join(parts)
    return "\n".join([f"root ::= {_literal('{')} {body} {_literal('}')}", *rules])


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _read(written: str, slots: Sequence[_Slot]) -> dict[str, Any]:
    try:
        values = json.loads(written)
    except ValueError:  # the answer was cut off: the first of each is as good as any
        return _assemble(slots, [slot.options[0] for slot in slots])
    return {
        slot.name: values[slot.name]
        for slot in slots
        if values.get(slot.name) is not None or "null" in slot.options
    }


def _assemble(slots: Sequence[_Slot], texts: Sequence[str | None]) -> dict[str, Any]:
    return {
        slot.name: json.loads(text)
        for slot, text in zip(slots, texts, strict=True)
        if text is not None
    }
