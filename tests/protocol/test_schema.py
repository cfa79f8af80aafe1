"""The API's schemas as JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.schema import json_schema


def converted(schema: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    return json_schema(schema, "p", lambda *where: told.append(where)), told


def test_properties_come_in_the_order_that_is_asked_for() -> None:
    kinds = {name: {"type": "STRING"} for name in "abcd"}
    asked = {"type": "OBJECT", "properties": kinds, "propertyOrdering": ["c", "x", 3, "a"]}
    assert list(converted(asked)[0]["properties"]) == ["c", "a", "b", "d"]


PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "OBJECT"}, {"type": "object"}),
    ({"type": "String"}, {"type": "string"}),
    ({"type": 3}, {"type": "integer"}),
    ({"type": "TYPE_UNSPECIFIED", "title": "t"}, {"title": "t"}),
    ({"type": 0, "title": None}, {}),
    ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
    ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
    ({"type": "STRING", "nullable": False}, {"type": "string"}),
    (
        {"type": "STRING", "nullable": True, "enum": ["a", "B_c"]},
        {"type": ["string", "null"], "enum": ["a", "B_c", None]},
    ),
    (
        {"type": "INTEGER", "enum": ["101", "-2", 3, "x"], "nullable": True},
        {"type": ["integer", "null"], "enum": [101, -2, 3, "x", None]},
    ),
    ({"type": "NUMBER", "enum": ["1.5", "2.0", None]}, {"type": "number", "enum": [1.5, 2, None]}),
    ({"type": "STRING", "enum": ["1"]}, {"type": "string", "enum": ["1"]}),
    (
        {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
        {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
    ),
    (
        {"anyOf": [{"type": "INTEGER", "minimum": "1", "maximum": 2.5}]},
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2.5}]},
    ),
    (
        {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1", "max_items": 3.0},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
    ),
    (
        {"min_length": "1", "maxLength": 9, "minProperties": 0, "max_properties": "2"},
        {"minLength": 1, "maxLength": 9, "minProperties": 0, "maxProperties": 2},
    ),
    (
        {
            "type": "OBJECT",
            "properties": {
                "min_items": {"type": "STRING"},
                "anyOf": {"type": "OBJECT", "properties": {"nullable": {"type": "BOOLEAN"}}},
            },
            "required": ["min_items"],
            "propertyOrdering": ["anyOf", "min_items"],
            "property_ordering": ["anyOf"],
        },
        {
            "type": "object",
            "properties": {
                "min_items": {"type": "string"},
                "anyOf": {"type": "object", "properties": {"nullable": {"type": "boolean"}}},
            },
            "required": ["min_items"],
        },
    ),
    (
        {"ref": "#/defs/some_thing", "defs": {"some_thing": {"type": "NULL"}}},
        {"$ref": "#/$defs/some_thing", "$defs": {"some_thing": {"type": "null"}}},
    ),
    (
        {"default": {"any_of": 1}, "example": {"min_items": 2}, "format": "int32", "pattern": "^a"},
        {"default": {"any_of": 1}, "examples": [{"min_items": 2}], "format": "int32",
         "pattern": "^a"},
    ),
    ({"default": None, "example": None}, {"default": None, "examples": [None]}),
    ({"additionalProperties": False}, {"additionalProperties": False}),
    (
        {"additional_properties": {"type": "STRING", "description": "d"}},
        {"additionalProperties": {"type": "string", "description": "d"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), PAIRS)
def test_each_field_has_its_counterpart(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert converted(schema) == (expected, [])


def test_the_clients_object_is_left_alone() -> None:
    schema = {"type": "STRING", "nullable": True, "enum": ["a"], "anyOf": [{"type": "STRING"}]}
    json_schema(schema, "p", lambda *_: None)
    assert schema == {
        "type": "STRING",
        "nullable": True,
        "enum": ["a"],
        "anyOf": [{"type": "STRING"}],
    }


def test_json_schema_proper_is_kept_and_told() -> None:
    schema = {
        "type": "object",
        "$defs": {"a": 1},
        "properties": {"x": {"const": 1}, "y": {"items": {"oneOf": []}}},
    }
    assert converted(schema) == (
        schema,
        [
            ("p", "$defs"),
            ("p.properties[0].value", "const"),
            ("p.properties[1].value.items", "oneOf"),
        ],
    )


def test_the_apis_types_are_read_within_json_schema_proper() -> None:
    inner = {"type": "OBJECT", "properties": {"min_items": {"type": "INTEGER"}}}
    plain = {"type": "object", "properties": {"min_items": {"type": "integer"}}}
    schema = {"$defs": {"a": inner, "b": True}, "oneOf": [inner], "definitions": {"type": inner}}
    assert converted(schema) == (
        {"$defs": {"a": plain, "b": True}, "oneOf": [plain], "definitions": {"type": plain}},
        [("p", "$defs"), ("p", "oneOf"), ("p", "definitions")],
    )
    assert converted({"$defs": 1, "allOf": {}})[0] == {"$defs": 1, "allOf": {}}


def test_numbers_that_no_integer_holds_stay_floats() -> None:
    found, _ = converted({"minimum": 1e300, "maximum": "-9007199254740993"})
    assert (type(found["minimum"]), type(found["maximum"])) == (float, float)


def test_a_strict_reader_may_refuse() -> None:
    def refuse(path: str, name: str) -> None:
        raise close.invalid(close.unknown_name(name, path))

    with pytest.raises(ClientFault, match=r"at 'p\.any_of\[1\]'"):
        json_schema({"anyOf": [{}, {"const": 1}]}, "p", refuse)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "TEXT"}, "Invalid value at 'p.type' (TYPE_ENUM), \"TEXT\""),
        ({"type": 8}, "Invalid value at 'p.type' (TYPE_ENUM), 8"),
        ({"type": True}, "Invalid value at 'p.type' (TYPE_ENUM), true"),
        ({"type": [None]}, "Invalid value at 'p.type' (TYPE_ENUM), null"),
        ({"title": 1}, "Invalid value at 'p.title' (TYPE_STRING), 1"),
        ({"items": []}, "Invalid value at 'p.items' (TYPE_MESSAGE), []"),
        ({"properties": []}, "Invalid value at 'p.properties' (TYPE_MESSAGE), []"),
        ({"properties": {"a": 1}}, "Invalid value at 'p.properties[0].value' (TYPE_MESSAGE), 1"),
        ({"required": "a"}, "Invalid value at 'p.required' (TYPE_REPEATED), \"a\""),
        ({"anyOf": {}}, "Invalid value at 'p.any_of' (TYPE_REPEATED), {}"),
        ({"minItems": 1.5}, "Invalid value at 'p.min_items' (TYPE_INT64), 1.5"),
        ({"minItems": "few"}, "Invalid value at 'p.min_items' (TYPE_INT64), \"few\""),
        ({"minimum": "few"}, "Invalid value at 'p.minimum' (TYPE_DOUBLE), \"few\""),
        ({"minimum": "nan"}, "Invalid value at 'p.minimum' (TYPE_DOUBLE), \"nan\""),
        ({"maximum": True}, "Invalid value at 'p.maximum' (TYPE_DOUBLE), true"),
        ({"ref": {}}, "Invalid value at 'p.ref' (TYPE_STRING), {}"),
    ],
)
def test_wrong_types_are_located(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(ClientFault) as caught:
        converted(schema)
    assert caught.value.reason == reason


@pytest.mark.parametrize("key", ["not", "if", "contains", "propertyNames", "unevaluatedItems"])
def test_schemas_within_other_keywords_may_have_the_types_of_the_api(key: str) -> None:
    asked = {key: {"type": "STRING"}, "patternProperties": {"^a": {"type": "INTEGER"}}}
    expected = {key: {"type": "string"}, "patternProperties": {"^a": {"type": "integer"}}}
    assert converted(asked)[0] == expected
