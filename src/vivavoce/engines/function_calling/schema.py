"""The part of JSON Schema that function declarations use: reading it and holding values to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vivavoce.domain.content import Json

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}


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


def bound(schema: Json, name: str) -> float | None:
    """A numeric limit of a schema; counts may be written as strings."""
    try:
        return float(schema[name])
    except (KeyError, TypeError, ValueError):
        return None


def accepts(schema: Json | None, value: Any) -> bool:
    """Whether `value` is what `schema` asks for."""
    schema = plain(schema)
    if value is None and schema.get("nullable"):
        return True
    allowed = schema.get("enum")
    if isinstance(allowed, Sequence) and value not in allowed:
        return False
    wanted = kind(schema)
    if not isinstance(value, _TYPES.get(wanted, (object,))):
        return False
    if isinstance(value, bool):
        return wanted == "boolean"
    if isinstance(value, int | float):
        return _within(schema, value, "minimum", "maximum")
    if isinstance(value, str):
        return _within(schema, len(value), "minLength", "maxLength")
    if isinstance(value, list | tuple):
        fits = _within(schema, len(value), "minItems", "maxItems")
        return fits and all(accepts(schema.get("items"), one) for one in value)
    if isinstance(value, Mapping):
        known = properties(schema)
        return required(schema) <= set(value) and all(
            accepts(known[name], one) for name, one in value.items() if name in known
        )
    return True


def _within(schema: Json, size: float, lowest: str, highest: str) -> bool:
    low, high = bound(schema, lowest), bound(schema, highest)
    return (low is None or size >= low) and (high is None or size <= high)
