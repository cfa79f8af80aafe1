"""Convert the API's OpenAPI-like schemas to JSON Schema, and check schemas against their draft.

Clients describe a function's parameters in one of two forms; engines see only JSON Schema with
types in lower case. The API's form is walked by a table of its fields, so that property names,
defaults, examples and enum values stay as the user wrote them. What JSON Schema is accepted,
`domain.json_schema` says; a refusal names the function, the place and what is wrong there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from vivavoce.domain.content import Json
from vivavoce.domain.json_schema import (
    KEYWORDS,
    SCHEMA_KEYWORDS,
    SCHEMA_LIST_KEYWORDS,
    SCHEMA_MAP_KEYWORDS,
    TOO_DEEP,
    SchemaFault,
    find_fault,
    normalize_draft,
)
from vivavoce.domain.json_schema import nullable as with_null
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.base import Reading, quote_value, read_integer, read_number

TYPES = ("", "string", "number", "integer", "boolean", "array", "object", "null")
"""Types in the order of their proto numbers; 0 is unspecified."""

_STRINGS = ("format", "title", "description", "pattern")
_COUNTS = ("min_items", "max_items", "min_properties", "max_properties", "min_length", "max_length")
_NUMBERS = ("minimum", "maximum")
_OPAQUE = ("default", "additional_properties")
_FIELDS = (
    "type", "nullable", "enum", "items", "properties", "required", "property_ordering", "example",
    "any_of", "ref", "defs", *_STRINGS, *_COUNTS, *_NUMBERS, *_OPAQUE,
)  # fmt: skip
SPELLINGS = {name: name for name in _FIELDS} | {to_camel(name): name for name in _FIELDS}
_USUAL = {spelling: name for name in TYPES[1:] for spelling in (name, name.upper())}

_MAX_EXACT_INTEGER = 2.0**53
"""Largest number below which floats represent all integers."""


def convert_schema(schema: dict[str, Any], path: str, reading: Reading) -> dict[str, Any]:
    """Convert `schema`, which stands at `path` in the message, to JSON Schema.

    Keywords of JSON Schema have their effect for a lenient reader, and unknown names are kept.
    Raises `ClientFault`.
    """
    return _SchemaConverter(reading).convert(schema, path)


@dataclass(frozen=True, slots=True)
class _SchemaConverter:
    reading: Reading

    def convert(self, schema: object, path: str) -> dict[str, Any]:
        """Convert one schema and all within it."""
        if not isinstance(schema, dict):
            raise _wrong(path, "TYPE_MESSAGE", schema)
        result: dict[str, Any] = {}
        nullable = False
        for key, value in schema.items():
            name = SPELLINGS.get(key)
            if name is None:
                self._foreign(key, path)
                result[key] = self._proper(key, value, path)
            elif name == "nullable":
                nullable = value is True
            elif type(value) is str and name in _STRINGS:
                result[name] = value
            elif type(value) is str and name == "type" and value in _USUAL:
                result[name] = _USUAL[value]
            elif value is not None or name in ("default", "example"):
                result.update(self._field(name, value, f"{path}.{name}"))
        _order(result, schema)
        _type_enum(result)
        return with_null(result) if nullable else result

    def _foreign(self, key: str, path: str) -> None:
        """Report a keyword that the API's schemas do not have."""
        if not self.reading.strict and key in KEYWORDS:
            sentence = f"{key} among the parameters of a function is read as JSON Schema"
            self.reading.on_mismatch(sentence)
        else:
            self.reading.report_unknown(path, key)

    def _place(self, value: object, path: str) -> Any:
        """Convert a schema; when lenient also true, false, or a list of schemas."""
        if self.reading.strict or not isinstance(value, bool | list):
            return self.convert(value, path)
        if isinstance(value, bool):
            sentence = "true or false in the place of a schema is read as JSON Schema"
            self.reading.on_mismatch(sentence)
            return value
        return [self._place(one, f"{path}[{index}]") for index, one in enumerate(value)]

    def _proper(self, key: str, value: Any, path: str) -> Any:
        """Convert a keyword of JSON Schema; schemas within it may still have the API's types."""
        if key in SCHEMA_MAP_KEYWORDS and isinstance(value, dict):
            return {name: self._within(one, f"{path}.{key}.{name}") for name, one in value.items()}
        if key in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
            return [self._within(one, f"{path}.{key}[{i}]") for i, one in enumerate(value)]
        return self._within(value, f"{path}.{key}") if key in SCHEMA_KEYWORDS else value

    def _within(self, value: Any, path: str) -> Any:
        return self.convert(value, path) if isinstance(value, dict) else value

    def _field(self, name: str, value: Any, path: str) -> dict[str, Any]:
        """Convert a field of the API's form."""
        if name in _STRINGS:
            return {name: _checked(value, str, "TYPE_STRING", path)}
        if name in _COUNTS:
            return {to_camel(name): _count(value, path)}
        if name in _NUMBERS:
            return {name: _number(value, path)}
        match name:
            case "type":
                if isinstance(value, list):
                    return {"type": [_type_name(item, path) for item in value]}
                named = _type_name(value, path)
                return {"type": named} if named else {}
            case "any_of":
                schemas = enumerate(_checked(value, list, "TYPE_REPEATED", path))
                return {"anyOf": [self._place(one, f"{path}[{i}]") for i, one in schemas]}
            case "items":
                return {"items": self._place(value, path)}
            case "properties" | "defs":
                entries = enumerate(_checked(value, dict, "TYPE_MESSAGE", path).items())
                read = {key: self._place(one, f"{path}[{i}].value") for i, (key, one) in entries}
                return {"$defs" if name == "defs" else name: read}
            case "additional_properties":
                return {"additionalProperties": self._within(value, path)}
            case "enum" | "required":
                return {name: _checked(value, list, "TYPE_REPEATED", path)}
            case "ref":
                target = _checked(value, str, "TYPE_STRING", path)
                return {"$ref": target.replace("#/defs/", "#/$defs/", 1)}
            case "default":
                return {"default": value}
            case "example":
                return {"examples": [value]}
        return {}  # property_ordering, which `_order` follows


def _order(schema: dict[str, Any], given: dict[str, Any]) -> None:
    """Sort the properties by `propertyOrdering`, the others last."""
    named = given.get("propertyOrdering", given.get("property_ordering"))
    properties = schema.get("properties")
    if isinstance(named, list) and isinstance(properties, dict):
        first = {
            name: properties[name] for name in named if isinstance(name, str) and name in properties
        }
        schema["properties"] = first | properties


def _type_enum(schema: dict[str, Any]) -> None:
    """Convert the values of a numeric enum to numbers: the API's are strings, whatever the type."""
    if schema.get("type") in ("integer", "number") and "enum" in schema:
        schema["enum"] = [_numeric(value, schema["type"]) for value in schema["enum"]]


def _numeric(value: Any, kind: str) -> Any:
    """Return the number in a string; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        read = read_integer(value, 64) if kind == "integer" else read_number(value, "TYPE_DOUBLE")
    except PydanticCustomError:
        return value
    return int(read) if read == int(read) else read


def _type_name(value: Any, path: str) -> str:
    if isinstance(value, str) and (name := value.lower()) in TYPES:
        return name
    if value == "TYPE_UNSPECIFIED":
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(TYPES):
        return TYPES[value]
    raise _wrong(path, "TYPE_ENUM", value)


def _number(value: Any, path: str) -> float | int:
    try:
        read = read_number(value, "TYPE_DOUBLE")
    except PydanticCustomError:
        raise _wrong(path, "TYPE_DOUBLE", value) from None
    if abs(read) >= _MAX_EXACT_INTEGER:
        return float(read)  # other JSON readers take no longer integers
    return int(read) if read == int(read) else read


def _count(value: Any, path: str) -> int:
    try:
        return read_integer(value, 64)
    except PydanticCustomError:
        raise _wrong(path, "TYPE_INT64", value) from None


def _checked(value: Any, kind: type, name: str, path: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(path, name, value)
    return value


def _wrong(path: str, kind: str, value: object) -> ClientFault:
    return close.invalid_value(path, kind, quote_value(value))


MAX_BYTES = 65_536
"""Size of one schema as JSON, at most."""

_NAME_SHOWN, _PLACE_SHOWN = 32, 40


def check_schema(schema: Json, name: str, reading: Reading) -> Json:
    """Validate the schema of the function `name`; when lenient, repair mixed drafts.

    Returns the schema. Raises `ClientFault` for one that does not match its draft.
    """
    if not reading.strict:
        schema = normalize_draft(schema, reading.on_mismatch)
    try:
        size = len(orjson.dumps(schema))
    except orjson.JSONEncodeError:
        # What was read from JSON can be written again, unless it is deeper than is written.
        raise _refused(name, TOO_DEEP) from None
    if size > MAX_BYTES:
        raise _refused(name, SchemaFault((), f"{size:,} bytes; at most {MAX_BYTES:,}."))
    if (fault := find_fault(schema)) is not None:
        raise _refused(name, fault)
    return schema


def _refused(name: str, fault: SchemaFault) -> ClientFault:
    """Build the refusal of a schema, with the fault and its location."""
    where = fault.pointer
    if len(where) > _PLACE_SHOWN:
        where = f"…{where[-_PLACE_SHOWN:]}"
    function = name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}…"
    return close.invalid("Invalid schema of {} at '{}': {}", function, where, fault.problem)
