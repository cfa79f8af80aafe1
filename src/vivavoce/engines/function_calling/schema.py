"""The part of JSON Schema that function declarations use: reading it and holding values to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vivavoce.domain.content import Json
from vivavoce.engines.validators import Exhausted, errors


def plain(schema: Any) -> Json:
    """A schema without its alternatives: the first one that is not null is taken."""
    if not isinstance(schema, Mapping):
        return {}
    for key in ("anyOf", "oneOf"):
        options = schema.get(key)
        if isinstance(options, Sequence):
            for option in options:
                if isinstance(option, Mapping) and kind(option) != "null":
                    return plain(option)
    return schema


def kind(schema: Json) -> str:
    """The type that a schema asks for, in lower case; guessed where it says none."""
    named = schema.get("type")
    if isinstance(named, Sequence) and not isinstance(named, str):
        named = next((one for one in named if str(one).lower() != "null"), "null")
    if isinstance(named, str):
        return named.lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def properties(schema: Json) -> dict[str, Json]:
    """The properties of an object, in the order in which they were declared."""
    found = schema.get("properties")
    return {name: plain(one) for name, one in found.items()} if isinstance(found, Mapping) else {}


def required(schema: Json) -> frozenset[str]:
    """The names of the properties that must be there."""
    found = schema.get("required")
    return frozenset(map(str, found)) if isinstance(found, Sequence) else frozenset()


def accepts(schema: Json | None, value: Any) -> bool:
    """Whether `value` is what `schema` asks for, as far as that can be told.

    A part of a schema may refer to the whole, and a server's tool may come with one that is none:
    a call is checked once more, against the whole declaration, before it is made.
    """
    try:
        return next(errors(schema or {}, value), None) is None
    except Exhausted:
        return False
    except Exception:
        return True
