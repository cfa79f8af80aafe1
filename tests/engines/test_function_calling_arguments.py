"""The arguments of a call, taken from what was said and held to their schema."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import arguments
from vivavoce.engines.tool_validation import fits_schema

TEXT = {"type": "string"}


def function(name: str = "do_it", required: list[str] | None = None, **of: Any) -> ToolDeclaration:
    needed = list(of) if required is None else required
    return ToolDeclaration(name, "", {"type": "object", "properties": of, "required": needed})


def filled(tool: ToolDeclaration, spoken: str) -> dict[str, Any]:
    return arguments.fill(tool, spoken)


def test_a_function_without_parameters_takes_none() -> None:
    assert filled(ToolDeclaration("lights_on"), "lights on") == {}
    assert filled(function(), "lights on") == {}


@pytest.mark.parametrize(
    ("kind", "spoken", "value"),
    [
        ({"type": "integer"}, "for ten minutes", 10),
        ({"type": "number"}, "to twenty one point five", 21.5),
        ({"type": "integer", "maximum": 20}, "not 30 but 15", 15),
        ({"type": "boolean"}, "switch it off", False),
        ({"type": "boolean"}, "switch it on", True),
        ({"type": "string", "enum": ["red", "dark_blue"]}, "make it dark blue", "dark_blue"),
        ({"type": "integer", "enum": [1, 2, 3]}, "level two", 2),
        ({"type": "array", "items": {"type": "integer"}}, "seven", [7]),
        ({"type": "string", "default": "here"}, "", "here"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "four", 4),
        ({"type": ["integer", "null"]}, "four", 4),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "nine",
            {"n": 9},
        ),
    ],
)
def test_each_kind_of_value_comes_from_what_was_said(
    kind: dict[str, Any], spoken: str, value: Any
) -> None:
    tool = function(value=kind)
    assert filled(tool, spoken) == {"value": value}
    assert fits_schema(kind, value)


@pytest.mark.parametrize(
    "kind",
    [{"type": "integer"}, {"enum": ["red", "blue"]}, {"type": "integer", "minimum": 90}],
)
def test_a_value_that_was_not_said_is_asked_for(kind: dict[str, Any]) -> None:
    with pytest.raises(arguments.MissingArgument) as caught:
        filled(function(level=kind), "do it 5 times" if "minimum" in kind else "do it please")
    assert caught.value.name == "level"


def test_optional_values_that_were_not_said_are_left_out() -> None:
    tool = function(required=["city"], city=TEXT, days={"type": "integer"}, note=TEXT)
    assert set(filled(tool, "weather in paris")) == {"city"}
    assert filled(tool, "weather in paris for three days")["days"] == 3


@pytest.mark.parametrize(
    ("of", "value", "good"),
    [
        ({"type": "integer"}, 5, True),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 5.5, False),
        ({"type": "number", "minimum": 3}, 2, False),
        ({"type": "string", "pattern": "^[A-Z]+$"}, "abc", False),
        ({"type": "string", "enum": ["a"]}, "b", False),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], False),
        ({"type": "array", "maxItems": 1}, ["a", "b"], False),
        ({"type": "object", "required": ["a"]}, {}, False),
        ({"type": ["string", "null"]}, None, True),
        ({"$ref": "#/$defs/elsewhere"}, "anything", False),
        ({}, "anything", True),
    ],
)
def test_values_are_held_to_the_schema(of: Any, value: Any, good: bool) -> None:
    assert fits_schema(of, value) is good


def test_a_percentage_belongs_to_a_parameter_that_ends_at_one_hundred() -> None:
    level = {"type": "integer", "minimum": 0, "maximum": 100}
    tool = function("set_volume", ["level"], level=level, minutes={"type": "integer"})
    assert filled(tool, "turn the volume to forty percent") == {"level": 40}
