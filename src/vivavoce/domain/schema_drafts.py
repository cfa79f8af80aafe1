"""Schemas that are not of the draft they name, read by their meaning.

Generators mix drafts, and OpenAPI 3.0 has keywords of its own: a list as `items`, a flag as
`exclusiveMinimum`, `nullable`, types in capitals. The draft is the one that `$schema` names, and
2020-12 where it names none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vivavoce.domain.content import Json
from vivavoce.domain.json_schema import (
    DRAFT_4,
    DRAFTS_WITH_LISTS_AS_ITEMS,
    SCHEMA_KEYWORDS,
    SCHEMA_LIST_KEYWORDS,
    SCHEMA_MAP_KEYWORDS,
    TYPES,
    draft_of,
)

_DRAFTS_WITH_DEPENDENCIES = frozenset(
    f"http://json-schema.org/draft-0{number}/schema" for number in (4, 6, 7)
)
_DEPENDENT = ("dependentRequired", "dependentSchemas")
_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def with_draft_mended(schema: Json, report: Callable[[str], None]) -> dict[str, Any]:
    """Return the schema in the form of its draft; `report` gets a sentence for each change.

    What has no such reading is left as it is, and `find_fault` finds it. Sentences quote nothing.
    """
    return _Mender(draft_of(schema), report).schema(schema)


class _Mender:
    def __init__(self, draft: str, report: Callable[[str], None]) -> None:
        self._draft_4 = draft == DRAFT_4
        self._lists_as_items = draft in DRAFTS_WITH_LISTS_AS_ITEMS
        self._dependencies = draft in _DRAFTS_WITH_DEPENDENCIES
        self._report = report

    def schema(self, schema: Json) -> dict[str, Any]:
        """Return one schema, and all within it, as `with_draft_mended` does."""
        mended = {key: self._within(key, value) for key, value in schema.items()}
        if "type" in mended:
            mended["type"] = self._type(mended["type"])
        if mended.get("nullable") is True and ("type" in mended or "enum" in mended):
            self._report("nullable in a schema: null is allowed")
            del mended["nullable"]
            mended = nullable(mended)
        if isinstance(mended.get("items"), list) and not self._lists_as_items:
            self._items(mended)
        for exclusive, inclusive in _BOUNDS:
            value = mended.get(exclusive)
            if isinstance(value, bool) and not self._draft_4:
                self._report("a flag as exclusive bound in a schema: read as of draft 4")
                del mended[exclusive]
                if value and inclusive in mended:
                    mended[exclusive] = mended.pop(inclusive)
            elif self._draft_4 and isinstance(value, int | float) and not isinstance(value, bool):
                self._report("a number as exclusive bound in a schema of draft 4: read as such")
                self._as_draft_4(mended, exclusive, inclusive)
        if isinstance(mended.get("dependencies"), dict) and not self._dependencies:
            self._split_dependencies(mended)
        return mended

    def _within(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            if key in SCHEMA_MAP_KEYWORDS or key == "dependencies":
                return {name: self._one(inner) for name, inner in value.items()}
            return self.schema(value) if key in SCHEMA_KEYWORDS else value
        if isinstance(value, list) and (key in SCHEMA_LIST_KEYWORDS or key == "items"):
            return [self._one(inner) for inner in value]
        return value

    def _one(self, value: Any) -> Any:
        return self.schema(value) if isinstance(value, dict) else value

    def _type(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._type(one) for one in value]
        if isinstance(value, str) and value not in TYPES and value.lower() in TYPES:
            self._report("types in capitals in a schema: read in lower case")
            return value.lower()
        return value

    def _items(self, schema: dict[str, Any]) -> None:
        if "prefixItems" in schema:
            return
        self._report("a list as items in a schema: read as prefixItems")
        if places := schema.pop("items"):
            schema["prefixItems"] = places
        if (others := schema.pop("additionalItems", None)) is not None:
            schema["items"] = others

    def _as_draft_4(self, schema: dict[str, Any], exclusive: str, inclusive: str) -> None:
        other = schema.get(inclusive)
        number = schema.pop(exclusive)
        if isinstance(other, int | float) and other != number:
            above = inclusive == "minimum"
            if (other > number) is above:
                return  # the inclusive bound is the stricter one
        schema[inclusive], schema[exclusive] = number, True

    def _split_dependencies(self, schema: dict[str, Any]) -> None:
        further = schema.get("allOf", [])
        if not all(isinstance(schema.get(key, {}), dict) for key in _DEPENDENT):
            return
        if not isinstance(further, list):
            return
        self._report("dependencies in a schema: read as dependentRequired and dependentSchemas")
        for name, needed in schema.pop("dependencies").items():
            key = "dependentRequired" if isinstance(needed, list) else "dependentSchemas"
            if name in (present := schema.get(key, {})):  # both hold
                further = [*further, {key: {name: needed}}]
            else:
                schema[key] = {name: needed, **present}
        if further:
            schema["allOf"] = further


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with null allowed wherever it says what is allowed."""
    found = dict(schema)
    kind = found.get("type")
    if isinstance(kind, str):
        found["type"] = [kind, "null"]
    elif isinstance(kind, list) and "null" not in kind:
        found["type"] = [*kind, "null"]
    if isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    if isinstance(found.get("enum"), list) and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    return found
