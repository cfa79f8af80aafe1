"""What the engines call fits any schema that is accepted, or they say that nothing does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engines.schema_strategies import anything, functions
from engines.schema_table import API_MEANINGS, ARRAYS, NUMBERS, OBJECTS, TEXTS, UNFIT
from support.budget import budget
from vivavoce.domain.content import Json, ToolCall, ToolDeclaration, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.json_schema import find_fault
from vivavoce.engines.function_calling.arguments import MissingArgument, fill_arguments
from vivavoce.engines.scripted_arguments import Unfillable, arguments
from vivavoce.engines.tool_validation import check_calls

SAID = 'Set the level to 2 with "a note" at 10:30, not 0.5'
quickly = settings(
    max_examples=budget(20, 60), derandomize=True, suppress_health_check=list(HealthCheck)
)


def function(schema: Json) -> ToolDeclaration:
    return ToolDeclaration("set_level", "Sets the level.", schema)


def assert_fits(tool: ToolDeclaration, args: Json) -> None:
    """The call passes the check before it is made, unchanged."""
    call = ToolCall(CallId(""), tool.name, args)
    assert check_calls([call], Tools((tool,))) == [call]


@quickly
@given(functions, st.sampled_from([SAID, "set the level", ""]))
def test_the_scripted_engine_calls_whatever_can_be_called(
    pair: tuple[Json, Any], said: str
) -> None:
    schema, value = pair
    assume(find_fault(schema) is None)
    tool = function(schema)
    assert_fits(tool, value)
    assert_fits(tool, arguments(tool, said, {"set", "level"}))


@quickly
@given(anything)
def test_the_scripted_engine_says_when_nothing_fits(schema: Json) -> None:
    assume(find_fault(schema) is None)
    tool = function(schema)
    try:
        found = arguments(tool, SAID, {"set", "level"})
    except Unfillable:
        return
    assert_fits(tool, found)


@quickly
@given(st.one_of(functions.map(lambda pair: pair[0]), anything))
def test_function_calling_asks_for_what_it_cannot_fill(schema: Json) -> None:
    assume(find_fault(schema) is None)
    tool = function(schema)
    try:
        found = fill_arguments(tool, SAID)
    except MissingArgument:
        return
    assert_fits(tool, found)


LEVEL = {"type": "object", "properties": {"level": {"type": "integer"}}, "required": ["level"]}
NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
    },
    "required": ["value", "next", "children"],
}
CARD = {
    "type": "object",
    "properties": {"kind": {"const": "card"}, "digits": {"type": "integer"}},
    "required": ["kind", "digits"],
}
CASH = {"type": "object", "properties": {"kind": {"const": "cash"}}, "required": ["kind"]}
BOTH = [
    ({"$ref": "#/$defs/Whole"}, 2),
    ({"allOf": [{"$ref": "#/$defs/Level"}]}, {"level": 2}),
    ({"enum": [1, 2, "all"]}, 2),
    ({"const": 7}, 7),
    ({"type": ["integer", "null"]}, 2),
    ({"type": ["null", "boolean", "integer"], "enum": [None, 1, 2]}, 2),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 2),
    ({"oneOf": [LEVEL, {"type": "null"}]}, {"level": 2}),
    ({"type": "array", "items": {"$ref": "#/$defs/Whole"}}, [2]),
    ({"type": "array", "items": LEVEL, "minItems": 1}, [{"level": 2}]),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"const": "x"}], "minItems": 2},
     [2, "x"]),
    ({"not": {"type": "string"}}, 2),
    ({}, 2),
    ({"description": "How loud."}, 2),
    ({"$ref": "#/$defs/Any"}, 2),
    ({"enum": ["1", "2"]}, "2"),
    ({"type": "array", "items": {}}, [2]),
    ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, [[2]]),
    ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, [2]),
    ({"type": "integer", "format": "int32"}, 2),
    ({"type": "number"}, 2),
    ({"type": ["string", "integer"], "pattern": "^[A-Z]{9}$"}, 2),
    ({"allOf": [{"minimum": 1}, {"maximum": 5}], "type": "integer"}, 2),
    ({"type": "object", "properties": {"a": {"$ref": "#/$defs/Level"}}, "required": ["a"]},
     {"a": {"level": 2}}),
    ({"anyOf": [{"type": "string", "pattern": "^[A-Z]{9}$"}, {"type": "integer"}]}, 2),
    ({"$ref": "#/$defs/Node"}, {"value": 2, "next": None, "children": []}),
    ({"anyOf": [CARD, CASH]}, {"kind": "card", "digits": 2}),
]  # fmt: skip
"""Kinds of parameters, and what is called when "set the level to 2" was said."""


@pytest.mark.parametrize(("kind", "value"), BOTH)
def test_every_engine_calls_functions_of_every_kind(kind: Json, value: Any) -> None:
    defs = {"Whole": {"type": "integer"}, "Level": LEVEL, "Node": NODE, "Any": True}
    schema = {"properties": {"level": kind}, "required": ["level"], "$defs": defs}
    assert find_fault(schema) is None
    tool = function(schema)
    for called in (arguments(tool, "set the level to 2", {"set", "level"}),
                   fill_arguments(tool, "set the level to 2")):  # fmt: skip
        assert called == {"level": value}
        assert_fits(tool, called)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"type": "string", "minLength": 9}, "the to 2x"),
        ({"type": "string", "maxLength": 5}, "the t"),
        ({"type": "string", "pattern": r"^[A-Z]{2}-\d{3}$"}, "AZ-232"),
        ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000000"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
         [2, 0, 1]),
        ({"type": "array", "contains": {"const": 9}}, [9]),
        ({"type": "number", "exclusiveMinimum": 4, "maximum": 4.25}, 4.125),
        ({"type": "integer", "multipleOf": 7, "minimum": 15}, 21),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
         {"key1": 2}),
        ({"type": "object", "patternProperties": {"^x_": {"type": "null"}},
          "additionalProperties": False, "minProperties": 1}, {"x_": None}),
        ({"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]},
          "additionalProperties": {"type": "boolean"}}, {"a": True, "b": True}),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
          "if": {"required": ["a"]}, "then": {"required": ["b"]}, "required": ["a"]},
         {"a": 2, "b": True}),
    ],
)  # fmt: skip
def test_the_scripted_engine_makes_up_what_was_not_said(kind: Json, value: Any) -> None:
    tool = function({"properties": {"level": kind}, "required": ["level"]})
    called = arguments(tool, "set the level to 2", {"set", "level"})
    assert called == {"level": value}
    assert_fits(tool, called)


@pytest.mark.parametrize(
    "kind",
    [False, {"type": "integer", "minimum": 3, "maximum": 2}, {"$ref": "#/properties/level"},
     {"type": "string", "pattern": "^a{1200}$(?<=b)"},
     {"type": "array", "minItems": 10**9}],
)  # fmt: skip
def test_a_schema_that_nothing_fits_is_reported(kind: Any) -> None:
    with pytest.raises(Unfillable):
        arguments(function({"properties": {"level": kind}, "required": ["level"]}), SAID, set())


@pytest.mark.parametrize("rows", [TEXTS, NUMBERS, ARRAYS, OBJECTS, UNFIT, API_MEANINGS], ids=len)
@pytest.mark.parametrize("said", ["echo value", SAID])
def test_function_calling_fits_or_asks_for_schemas_of_every_kind(
    rows: dict[str, Json], said: str
) -> None:
    for schema in rows.values():
        tool = ToolDeclaration("echo_value", "Echo a value.", schema)
        try:
            called = fill_arguments(tool, said)
        except MissingArgument:
            continue
        assert_fits(tool, called)
