"""The API's schemas as JSON Schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.base import Reading
from vivavoce.protocol.schema import MAX_BYTES, check_schema, convert_schema

STRICT = Reading(strict=True)


def converted(schema: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """The schema, and what a lenient reader reports: unknown names with their path, sentences."""
    reported: list[tuple[str, ...]] = []
    reading = Reading(
        on_unknown=lambda *where: reported.append(where),
        on_mismatch=lambda sentence, quoted="": reported.append((sentence,)),
    )
    return convert_schema(schema, "p", reading), reported


def is_read(keyword: str) -> tuple[str]:
    return (f"{keyword} among the parameters of a function is read as JSON Schema",)


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
    convert_schema(schema, "p", STRICT)
    assert schema == {
        "type": "STRING",
        "nullable": True,
        "enum": ["a"],
        "anyOf": [{"type": "STRING"}],
    }


def test_json_schema_proper_and_unknown_names_are_kept_and_reported() -> None:
    schema = {
        "type": "object",
        "$defs": {"a": 1},
        "properties": {"x": {"const": 1}, "y": {"items": {"oneOf": [], "mine": 3}}},
        "other": 1,
    }
    assert converted(schema) == (
        schema,
        [
            is_read("$defs"),
            is_read("const"),
            is_read("oneOf"),
            ("p.properties[1].value.items", "mine"),
            ("p", "other"),
        ],
    )


def test_the_apis_types_are_read_within_json_schema_proper() -> None:
    inner = {"type": "OBJECT", "properties": {"min_items": {"type": "INTEGER"}}}
    plain = {"type": "object", "properties": {"min_items": {"type": "integer"}}}
    schema = {"$defs": {"a": inner, "b": True}, "oneOf": [inner], "definitions": {"type": inner}}
    assert converted(schema) == (
        {"$defs": {"a": plain, "b": True}, "oneOf": [plain], "definitions": {"type": plain}},
        [is_read("$defs"), is_read("oneOf"), is_read("definitions")],
    )
    assert converted({"$defs": 1, "allOf": {}})[0] == {"$defs": 1, "allOf": {}}


def test_numbers_that_no_integer_holds_stay_floats() -> None:
    found, _ = converted({"minimum": 1e300, "maximum": "-9007199254740993"})
    assert (type(found["minimum"]), type(found["maximum"])) == (float, float)


def test_a_strict_reader_refuses_what_the_apis_schemas_do_not_have() -> None:
    with pytest.raises(ClientFault, match=r'Unknown name "const" at \'p\.any_of\[1\]\''):
        convert_schema({"anyOf": [{}, {"const": 1}]}, "p", STRICT)


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
        convert_schema(schema, "p", STRICT)
    assert caught.value.reason == reason


@pytest.mark.parametrize("key", ["not", "if", "contains", "propertyNames", "unevaluatedItems"])
def test_schemas_within_other_keywords_may_have_the_types_of_the_api(key: str) -> None:
    asked = {key: {"type": "STRING"}, "patternProperties": {"^a": {"type": "INTEGER"}}}
    expected = {key: {"type": "string"}, "patternProperties": {"^a": {"type": "integer"}}}
    assert converted(asked)[0] == expected


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
    check_schema(schema, "f", STRICT)


@pytest.mark.parametrize(("schema", "place", "problem"), WRONG + REFUSED_THOUGH_JSON_SCHEMA)
def test_what_is_none_is_refused_with_its_place(
    schema: dict[str, Any], place: str, problem: str
) -> None:
    with pytest.raises(ClientFault) as caught:
        check_schema(schema, "f", STRICT)
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
        check_schema({"$ref": 3}, "f", STRICT)


def test_a_schema_may_be_long_but_not_endless() -> None:
    fixed = len(b'{"description":""}')
    check_schema({"description": "x" * (MAX_BYTES - fixed)}, "f", STRICT)
    with pytest.raises(ClientFault, match="at '#': 65,537 bytes; at most 65,536"):
        check_schema({"description": "x" * (MAX_BYTES - fixed + 1)}, "f", STRICT)


def test_what_is_wrong_fits_into_a_close_frame_whatever_the_names() -> None:
    schema: dict[str, Any] = {"type": "no such type, and what a long name for one it is"}
    for _ in range(20):
        schema = within(schema)
    with pytest.raises(ClientFault) as caught:
        check_schema(schema, "f" * 128, STRICT)
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
        check_schema(schema, "f", STRICT)
    assert fault.value.code == INVALID
