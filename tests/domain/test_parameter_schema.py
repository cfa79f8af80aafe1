"""Resolved variants of a schema: what each keyword comes to, and how far it is followed."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.domain.parameter_schema import ParameterSchema, identity, kind, resolve_pointer

INTEGER = {"type": "integer"}
DEFS = {"$defs": {"L": INTEGER, "a/b": {"$anchor": "here", "type": "boolean"}}}


def variants(place: Any, **root: Any) -> list[dict[str, Any]]:
    properties = {"value": place}
    schema = ParameterSchema({"type": "object", "properties": properties, **root})
    return [dict(one) for one in schema.variants(properties["value"])]


@pytest.mark.parametrize(
    ("place", "plain"),
    [
        (True, [{}]),
        (False, []),
        (INTEGER, [INTEGER]),
        ({"type": ["null", "integer", "string"]}, [INTEGER, {"type": "string"}, {"type": "null"}]),
        ({"const": 3}, [{"enum": [3]}]),
        ({"const": 3, "enum": [1, 2]}, []),
        ({"type": "integer", "enum": [1, True, "1", 2.0]}, [{"type": "integer", "enum": [1, 2.0]}]),
        ({"type": ["string", "null"], "enum": ["a", None]},
         [{"type": "string", "enum": ["a"]}, {"type": "null", "enum": [None]}]),
        ({"$ref": "#/$defs/L"}, [INTEGER]),
        ({"$ref": "#/$defs/a~1b"}, [{"type": "boolean"}]),
        ({"$ref": "#/%24defs/L", "minimum": 2}, [{"minimum": 2, **INTEGER}]),
        ({"$ref": "#here"}, [{"type": "boolean"}]),
        ({"$ref": "#/$defs/nowhere"}, []),
        ({"$ref": "#nowhere"}, []),
        ({"anyOf": [{"type": "null"}, INTEGER], "description": "How many."},
         [{"description": "How many.", **INTEGER}, {"description": "How many.", "type": "null"}]),
        ({"allOf": [{"type": "number", "minimum": 1}, {"type": "integer", "minimum": 3}]},
         [{"type": "integer", "minimum": 3}]),
        ({"allOf": [INTEGER, {"type": "string"}]}, []),
        ({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}, [{"multipleOf": 12}]),
        ({"allOf": [{"required": ["a"]}, {"required": ["b", "a"]}]}, [{"required": ["a", "b"]}]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 1}},
         [{"required": ["a", "b"]}, {"maxProperties": 1}]),
        ({"oneOf": [{"type": "array", "items": INTEGER}]}, [{"type": "array", "items": INTEGER}]),
    ],
)  # fmt: skip
def test_each_keyword_comes_to_resolved_variants(place: Any, plain: list[Any]) -> None:
    assert variants(place, **DEFS) == plain


def test_older_drafts_are_read_in_the_newest_form() -> None:
    draft = "http://json-schema.org/draft-07/schema#"
    place = {"type": "array", "items": [INTEGER, True], "additionalItems": False}
    assert variants(place, **{"$schema": draft}) == [
        {"type": "array", "prefixItems": [INTEGER, True], "items": False}
    ]
    beside = {"$ref": "#/definitions/L", "maximum": 1}
    assert variants(beside, definitions={"L": INTEGER}, **{"$schema": draft}) == [INTEGER]
    assert variants({"minimum": 3, "exclusiveMinimum": True}) == [{"exclusiveMinimum": 3}]
    assert variants({"dependencies": {"a": ["b"]}}) == [{"dependentRequired": {"a": ["b"]}}]


def test_properties_that_meet_are_joined() -> None:
    one, other = {"properties": {"n": INTEGER}}, {"properties": {"n": {"maximum": 9}, "m": True}}
    schema = ParameterSchema({"allOf": [one, other]})
    [plain] = schema.variants(schema.arguments)
    assert plain["type"] == "object"
    assert schema.variants(plain["properties"]["n"]) == ({"type": "integer", "maximum": 9},)


def test_what_leads_to_itself_is_read_as_far_as_it_is_followed() -> None:
    node: Any = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
    }
    schema = ParameterSchema(node)
    inner, null = schema.variants(node["properties"]["next"])
    assert inner["properties"] == node["properties"]
    assert null == {"type": "null"}
    assert schema.variants(inner["properties"]["next"]) == (inner, null)


def test_what_only_leads_to_itself_is_nothing() -> None:
    defs = {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}, {"const": 1}]}}
    assert variants({"$ref": "#/$defs/A"}, **{"$defs": defs}) == [{"enum": [1]}]
    assert variants({"$ref": "#/$defs/B"}, **{"$defs": defs}) == [{"enum": [1]}]
    assert variants({"$ref": "#/properties/value"}) == []


@pytest.mark.parametrize("keyword", ["allOf", "anyOf"])
def test_schemas_that_branch_on_every_level_are_read_in_bounded_work(keyword: str) -> None:
    defs: dict[str, Any] = {
        f"D{n}": {keyword: [{"$ref": f"#/$defs/D{n + 1}"}, {"$ref": f"#/$defs/D{n + 1}"}]}
        for n in range(20)
    }
    [first, *rest] = variants({"$ref": "#/$defs/D0"}, **{"$defs": {**defs, "D20": INTEGER}})
    assert first == INTEGER
    assert len(rest) < 64
    every = [{"$ref": f"#/$defs/D{n}"} for n in range(12)]
    tangle = {f"D{n}": {keyword: every} for n in range(12)}
    assert variants({"$ref": "#/$defs/D0"}, **{"$defs": tangle}) in ([], [{}])


@pytest.mark.parametrize(
    "pointer", ["#/a/2", "#/a/-1", "#/a/x", "#/a/" + "9" * 5000, "#/b", "#/a/0/c"]
)
def test_pointers_to_nothing_are_reported(pointer: str) -> None:
    with pytest.raises(LookupError):
        resolve_pointer({"a": [1, {"b": 2}]}, pointer)
    assert resolve_pointer({"a": [1, {"b": 2}]}, "#/a/1/b") == 2


def test_values_are_the_same_as_in_json() -> None:
    assert identity(1) == identity(1.0) != identity(True)
    assert identity({"a": [1, False]}) == identity({"a": [1.0, False]}) != identity({"a": [1, 0]})


def test_a_type_that_is_not_named_follows_from_the_keywords() -> None:
    assert kind({}) == "string"
    assert kind({"minimum": 1}) == "number"
    assert kind({"prefixItems": []}) == "array"
    assert kind({"required": ["a"]}) == "object"
