"""Schemas of mixed drafts, read by their meaning."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.domain.json_schema import normalize_draft

Json = dict[str, Any]

DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
MENDED: list[tuple[Json, Json]] = [
    ({"items": [{}, True]}, {"prefixItems": [{}, True]}),
    ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}),
    ({"items": []}, {}),
    ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
    ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
    ({"exclusiveMaximum": True}, {}),
    (DRAFT_7 | {"minimum": 1, "exclusiveMinimum": True}, DRAFT_7 | {"exclusiveMinimum": 1}),
    (DRAFT_4 | {"exclusiveMinimum": 2}, DRAFT_4 | {"minimum": 2, "exclusiveMinimum": True}),
    (DRAFT_4 | {"exclusiveMaximum": 2, "maximum": 1}, DRAFT_4 | {"maximum": 1}),
    (
        DRAFT_4 | {"exclusiveMaximum": 2, "maximum": 3},
        DRAFT_4 | {"maximum": 2, "exclusiveMaximum": True},
    ),
    (
        {"dependencies": {"a": ["b"]}, "dependentRequired": {"a": ["c"]}},
        {"dependentRequired": {"a": ["c"]}, "allOf": [{"dependentRequired": {"a": ["b"]}}]},
    ),
    (
        {"dependencies": {"a": ["b"], "c": {"type": "OBJECT"}}, "dependentRequired": {"d": []}},
        {
            "dependentRequired": {"a": ["b"], "d": []},
            "dependentSchemas": {"c": {"type": "object"}},
        },
    ),
    ({"type": ["STRING", "Null"]}, {"type": ["string", "null"]}),
    ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    ({"type": ["string", "null"], "nullable": True}, {"type": ["string", "null"]}),
    ({"enum": [1], "nullable": True}, {"enum": [1, None]}),
    ({"properties": {"type": {"items": [{}]}}}, {"properties": {"type": {"prefixItems": [{}]}}}),
    ({"anyOf": [{"not": {"items": [{}]}}]}, {"anyOf": [{"not": {"prefixItems": [{}]}}]}),
]
KEPT: list[Json] = [
    {},
    DRAFT_7 | {"items": [{}], "additionalItems": False, "dependencies": {"a": ["b"]}},
    DRAFT_4 | {"minimum": 1, "exclusiveMinimum": True},
    {"items": [{}], "prefixItems": [{}]},
    {"items": {"type": "string"}, "exclusiveMinimum": 1, "nullable": False},
    {"type": "text", "properties": [], "anyOf": 3, "items": 4, "dependencies": 5},
    {"dependencies": {"a": ["b"]}, "dependentRequired": 5},
    {"dependencies": {"a": {}}, "dependentSchemas": [{}]},
    {"enum": [{"items": [{}]}], "default": {"type": "STRING"}, "const": {"nullable": True}},
    {"properties": {"exclusiveMinimum": True, "nullable": {"type": "boolean"}}},
]


@pytest.mark.parametrize(("schema", "expected"), MENDED)
def test_what_is_of_another_draft_is_mended_and_reported(schema: Json, expected: Json) -> None:
    told: list[str] = []
    before = repr(schema)
    assert normalize_draft(schema, told.append) == expected
    assert told
    assert repr(schema) == before


@pytest.mark.parametrize("schema", KEPT)
def test_what_is_of_its_draft_or_of_none_is_kept(schema: Json) -> None:
    told: list[str] = []
    assert normalize_draft(schema, told.append) == schema
    assert told == []
