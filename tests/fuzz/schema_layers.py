"""Layers of schemas: declarations in both forms, calls against them, arguments made for them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import orjson

from fuzz.layer import Layer
from fuzz.mutation import JsonMutator
from fuzz.seeds import dumped
from fuzz.wire_layers import refusal
from vivavoce.domain.content import Json, ToolCall, ToolDeclaration, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.json_schema import find_fault
from vivavoce.engines.function_calling.arguments import MissingArgument, fill_arguments
from vivavoce.engines.scripted_arguments import Unfillable, arguments
from vivavoce.engines.tool_validation import InvalidCall, check_calls
from vivavoce.errors import ClientFault
from vivavoce.protocol.base import LENIENT
from vivavoce.protocol.schema import convert_schema

SAID = 'Set the level to 2 with "a note" at 10:30, not 0.5'
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+|[{\[].*")


def detached(sentence: str) -> str:
    """The sentence without what it quotes."""
    return _DETAIL.sub("", sentence)


KEYWORDS = (
    "type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "oneOf", "not",
    "$ref", "$defs", "defs", "ref", "definitions", "$schema", "$id", "$anchor", "$dynamicRef",
    "if", "then", "else", "dependentSchemas", "dependencies", "dependentRequired", "prefixItems",
    "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "patternProperties",
    "propertyNames", "contains", "minContains", "uniqueItems", "pattern", "format", "minimum",
    "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength", "minItems", "nullable",
    "minProperties", "default", "examples", "title", "any_of", "propertyOrdering", "a", "b",
)  # fmt: skip
MEANT = (
    "string", "number", "integer", "boolean", "array", "object", "null", "STRING", "OBJECT", "#",
    "#/$defs/a", "#/properties/a", "#/defs/a", "#/$defs/0", "#/a~1b", "#/%2524", "#/" + "9" * 5000,
    "http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#",
    "https://json-schema.org/draft/2019-09/schema", "^a+$", "(a+)+$", "[", "date-time", "a", "b",
    {"$ref": "#"}, {"not": {"$ref": "#"}}, {"type": "string"}, {"type": ["string", "null"]},
    ["a", "b"], {"a": {"type": "integer"}}, {"enum": [1, "a", None]}, {"const": 1}, 10.0,
    "aaaaaaaa!",
)  # fmt: skip


def run_schema(data: bytes) -> Hashable:
    """A declaration in either form, and a call with arguments against it."""
    try:
        case = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    schema = case.get("schema") if isinstance(case, dict) else None
    if not isinstance(schema, dict):
        return None
    found: list[Hashable] = []
    if case.get("api"):
        try:
            schema = convert_schema(schema, "p", LENIENT)
        except ClientFault as fault:
            return refusal(fault)
    if (wrong := find_fault(schema)) is not None:
        assert wrong.pointer.startswith("#")
        return detached(wrong.problem)[:30]
    tools = Tools((ToolDeclaration("f", parameters=schema),))
    [call] = check_calls([ToolCall(CallId("1"), "f", case.get("args"))], tools)
    if isinstance(call, InvalidCall):
        found.append(detached(str(call).partition(": ")[2])[:40])
    else:
        assert isinstance(call.args, dict)
        orjson.dumps(call.args)
    return bool(case.get("api")), tuple(found)


def _case(schema: Any, args: Any, api: bool = False) -> dict[str, Any]:
    return {"schema": schema, "args": args, "api": api}


def _schema_seeds() -> list[bytes]:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tree = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    every = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 1, "multipleOf": 2},
            "b": {"anyOf": [{"type": "string", "pattern": "^x"}, {"type": "null"}]},
            "c": {"type": "array", "items": {"enum": ["a", 1]}, "uniqueItems": True},
            "d": {"allOf": [{"type": "object", "additionalProperties": False}]},
        },
    }
    api = {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING", "nullable": True, "enum": ["x"]}},
    }
    return dumped([
        _case(city, {"city": "Zürich"}), _case(tree, {"tree": {"next": {"next": {}}}}),
        _case(every, {"a": 2.0, "b": None, "c": ["a", 1], "d": {}}), _case(api, {"a": "x"}, True),
        _case({"type": "object", "not": {"$ref": "#"}}, {}), _case({}, {"a": 1}),
        _case({"$schema": MEANT[17], "items": [{"type": "string"}],
        "dependencies": {"a": ["b"]}}, {}),
        _case({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False}, {"a": 1}),
        _case({"patternProperties": {"^a": {"type": "number"}}, "propertyNames": {"maxLength": 3}},
              {"abc": 1}),
        _case({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
               "$defs": {"a": {"type": "object"}, "b": False}}, {}),
    ])  # fmt: skip


def run_arguments(data: bytes) -> Hashable:
    """What the engines call fits every schema that is accepted, or they say that nothing does."""
    try:
        case = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    schema = case.get("schema") if isinstance(case, dict) else None
    if not isinstance(schema, dict) or find_fault(schema) is not None:
        return None
    tool = ToolDeclaration("set_level", "Sets the level.", schema)
    found: list[Hashable] = []
    try:
        made = arguments(tool, SAID, {"set", "level"})
    except Unfillable:
        found.append("unfillable")
    else:
        found.append(_fits(tool, made))
    try:
        filled = fill_arguments(tool, SAID)
    except MissingArgument:
        found.append("missing")
    else:
        found.append(_fits(tool, filled))
    return tuple(found)


def _fits(tool: ToolDeclaration, args: Json) -> Hashable:
    call = ToolCall(CallId(""), tool.name, args)
    [checked] = check_calls([call], Tools((tool,)))
    if "nested more than" in str(checked):
        return "too deep"  # as nothing can be that a client declares
    assert checked == call, checked
    return tuple(sorted(type(value).__name__ for value in args.values()))[:4]


def _mutator() -> JsonMutator:
    return JsonMutator((*KEYWORDS, "args", "api"), MEANT)


SCHEMAS = Layer("schemas", run_schema, _schema_seeds, _mutator)
ARGUMENTS = Layer("arguments", run_arguments, _schema_seeds, _mutator)
