"""Which schemas may be declared, and how the others are refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.json_schema import MAX_BYTES, check

DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}


def within(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


FINE: list[dict[str, Any]] = [
    {},
    {"type": ["object", "null"]},
    {"$schema": "https://example.com/our-own-dialect", "x-our-word": 3},
    {"$ref": "#"},
    {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}},
    {"$ref": "#/allOf/1", "allOf": [{}, True]},
    {"$ref": "#an-anchor"},
    {"properties": {"$ref": {"type": "string"}, "required": {"type": "boolean"}}},
    {"required": ["not", "there"], "additionalProperties": False},
    within({"type": "string", "enum": [1, None, {}], "default": 3, "const": []}),
    within({"minimum": 5, "maximum": 1.5, "multipleOf": 0.1, "exclusiveMinimum": -1}),
    within({"minLength": 3.0, "maxLength": 0, "pattern": "^a", "format": "date"}),
    within({"items": {}, "prefixItems": [{}], "contains": False, "uniqueItems": True}),
    within({"anyOf": [{"if": {}, "then": {}, "else": False}], "not": {}, "oneOf": [True]}),
    within({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {}}}),
    within({"patternProperties": {"^x": {}}, "propertyNames": {}, "examples": [1]}),
    DRAFT_7 | within({"items": [{}, True], "dependencies": {"a": ["b"], "c": {}}}),
    DRAFT_4 | within({"minimum": 1, "exclusiveMinimum": True, "id": "x"}),
]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "OBJECT"}, "#/type", '"OBJECT" is no type (use lower case).'),
    ({"type": "text"}, "#/type", '"text" is no type.'),
    ({"type": []}, "#/type", "use a type, or a list of different ones."),
    ({"type": ["object", "object"]}, "#/type", "use a type, or a list of different ones."),
    ({"type": {"a": 1}}, "#/type", '{"a":1} is no type.'),
    ({"properties": []}, "#/properties", "use an object of schemas."),
    ({"required": True}, "#/required", "use a list of names."),
    ({"required": ["a", 1]}, "#/required", "use a list of names."),
    ({"required": ["a", "a"]}, "#/required", "a name stands there twice."),
    ({"$defs": {"a": None}}, "#/$defs/a", "null is no schema."),
    ({"anyOf": []}, "#/anyOf", "use a list of schemas."),
    ({"allOf": [{}, 3]}, "#/allOf/1", "3 is no schema."),
    ({"dependentRequired": []}, "#/dependentRequired", "use an object of lists of names."),
    ({"dependentRequired": {"a": "b"}}, "#/dependentRequired/a", "use a list of names."),
    (within([]), "#/properties/a", "[] is no schema."),
    (within({"items": [{}]}), "#/properties/a/items", "[{}] is no schema."),
    (within({"title": 1}), "#/properties/a/title", "1 is no string."),
    (within({"pattern": []}), "#/properties/a/pattern", "[] is no string."),
    (within({"enum": "a"}), "#/properties/a/enum", '"a" is no list.'),
    (within({"uniqueItems": 1}), "#/properties/a/uniqueItems", "1 is not true or false."),
    (within({"minimum": "1"}), "#/properties/a/minimum", '"1" is no number.'),
    (within({"maximum": True}), "#/properties/a/maximum", "true is no number."),
    (within({"multipleOf": 0}), "#/properties/a/multipleOf", "use a number above 0."),
    (within({"minLength": -1}), "#/properties/a/minLength", "-1 is no count."),
    (within({"maxItems": 1.5}), "#/properties/a/maxItems", "1.5 is no count."),
    (within({"maxItems": True}), "#/properties/a/maxItems", "true is no count."),
    (within({"exclusiveMinimum": True}), "#/properties/a/exclusiveMinimum", "true is no number."),
    (
        DRAFT_4 | within({"exclusiveMinimum": 1}),
        "#/properties/a/exclusiveMinimum",
        "1 is not true or false.",
    ),
    (DRAFT_7 | {"dependencies": 1}, "#/dependencies", "use an object."),
    (DRAFT_7 | {"dependencies": {"a": [1]}}, "#/dependencies/a", "use a list of names."),
]
REFUSED_THOUGH_JSON_SCHEMA: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "string"}, "#/type", "parameters are an object."),
    ({"type": ["string", "null"]}, "#/type", "parameters are an object."),
    ({"$ref": "http://h/s"}, "#/$ref", "only '#/…' within the schema; nothing is fetched."),
    (
        {"$dynamicRef": "other"},
        "#/$dynamicRef",
        "only '#/…' within the schema; nothing is fetched.",
    ),
    (within({"$ref": "#/$defs/x"}), "#/properties/a/$ref", 'nothing stands at "#/$defs/x".'),
    (
        {"allOf": [{"$ref": "#/allOf/" + "0" * 5000}]},
        "#/allOf/0/$ref",
        'nothing stands at "#/allOf/0000000000000000000000000000000….',
    ),
    ({"allOf": [{"$ref": "#/allOf/٠"}]}, "#/allOf/0/$ref", 'nothing stands at "#/allOf/٠".'),
    ({"allOf": [{"$ref": "#/allOf/1"}]}, "#/allOf/0/$ref", 'nothing stands at "#/allOf/1".'),
]


@pytest.mark.parametrize("schema", FINE)
def test_schemas_are_welcome(schema: dict[str, Any]) -> None:
    check(schema, "f")


@pytest.mark.parametrize(("schema", "place", "problem"), WRONG + REFUSED_THOUGH_JSON_SCHEMA)
def test_what_is_none_is_refused_with_its_place(
    schema: dict[str, Any], place: str, problem: str
) -> None:
    with pytest.raises(ClientFault) as caught:
        check(schema, "f")
    assert caught.value.code == INVALID
    assert caught.value.reason == f"Invalid schema of f at '{place}': {problem}"


@pytest.mark.parametrize(
    ("schema", "valid"),
    [(schema, True) for schema in FINE] + [(schema, False) for schema, *_ in WRONG],
)
def test_the_table_says_what_the_specification_says(schema: dict[str, Any], valid: bool) -> None:
    if "example.com" in str(schema.get("$schema")):
        schema = {key: value for key, value in schema.items() if key != "$schema"}
    draft = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    assert draft(draft.META_SCHEMA).is_valid(schema) is valid


def test_references_of_a_wrong_kind_are_refused() -> None:
    with pytest.raises(ClientFault, match="3 is no string"):
        check({"$ref": 3}, "f")


def test_a_schema_may_be_long_but_not_endless() -> None:
    fixed = len(b'{"description":""}')
    check({"description": "x" * (MAX_BYTES - fixed)}, "f")
    with pytest.raises(ClientFault, match="at '#': 65,537 bytes; at most 65,536"):
        check({"description": "x" * (MAX_BYTES - fixed + 1)}, "f")


def test_what_is_wrong_fits_into_a_close_frame_whatever_the_names() -> None:
    schema: dict[str, Any] = {"type": "no such type, and what a long name for one it is"}
    for _ in range(20):
        schema = within(schema)
    with pytest.raises(ClientFault) as caught:
        check(schema, "f" * 128)
    sentence = close.cut_reason(caught.value.reason)
    assert "ffff…" in sentence
    assert "ties/a/properties/a/type'" in sentence
    assert '"no such' in sentence


@pytest.mark.parametrize("levels", [254, 1000, 100_000])
def test_a_schema_nested_beyond_reason_is_refused_like_any_other(levels: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    with pytest.raises(ClientFault, match="Invalid schema of f at '#': nested too deeply") as fault:
        check(schema, "f")
    assert fault.value.code == INVALID
