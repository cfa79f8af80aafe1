"""Validate the JSON Schema of a function's arguments, and repair schemas that mix drafts.

Declarations are checked against a table of keywords instead of the specification's meta-schema,
which takes 5 ms for one declaration, and a client's first message may hold 512. The table knows the
drafts from 4 on; a schema without `$schema` is of 2020-12. Unknown keywords are annotations. Faults
are

- values that a keyword can't have, and types that don't exist;
- a `$ref` to anything outside of the schema, which would have to be fetched, or to nothing;
- parameters that can't be an object, and nesting too deep to follow.

Recursive schemas are accepted, and so are those that contradict themselves (a minimum above the
maximum, a property that is required and not allowed): no call fits them, and each ends as
`MALFORMED_FUNCTION_CALL`.

Generators mix drafts, and OpenAPI 3.0 has keywords of its own: a list as `items`, a flag as
`exclusiveMinimum`, `nullable`, types in capitals. `normalize_draft` rewrites them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import Json
from vivavoce.domain.parameter_schema import LEGACY_DRAFTS, draft_of, resolve_pointer

TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
DRAFT_4 = "http://json-schema.org/draft-04/schema"
DRAFTS_WITH_LISTS_AS_ITEMS = LEGACY_DRAFTS | {"https://json-schema.org/draft/2019-09/schema"}
SCHEMA_KEYWORDS = frozenset(
    ("items", "additionalProperties", "additionalItems", "contains", "not", "if", "then", "else",
     "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema")
)  # fmt: skip
SCHEMA_LIST_KEYWORDS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
SCHEMA_MAP_KEYWORDS = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
)
"""Keywords whose value is a schema, a list of schemas, or an object of schemas."""
_SHOWN = 40

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """Fault in a schema: a sentence, and the path of keys to it."""

    place: Place
    problem: str

    @property
    def pointer(self) -> str:
        """Location as a JSON pointer: `#/properties/city`."""
        return "/".join(("#", *self.place))


TOO_DEEP = SchemaFault((), "nested too deeply.")


class _Fault(Exception):
    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem


def find_fault(schema: Json) -> SchemaFault | None:
    """Return the first fault in the schema of a function's arguments."""
    try:
        kind = schema.get("type", "object")
        _Checker(schema).schema(schema, ())
        if "object" not in ([kind] if isinstance(kind, str) else kind):
            raise _Fault(("type",), "parameters are an object.")
    except _Fault as fault:
        return SchemaFault(fault.place, fault.problem)
    except RecursionError:
        return TOO_DEEP
    return None


class _Checker:
    """Checker of one schema and its subschemas."""

    def __init__(self, root: Json) -> None:
        self._root = root
        named = draft_of(root)
        self._draft_4 = named == DRAFT_4
        self._lists_as_items = named in DRAFTS_WITH_LISTS_AS_ITEMS

    def schema(self, value: object, at: Place) -> None:
        if isinstance(value, bool):
            return
        if not isinstance(value, dict):
            raise _Fault(at, f"{_shown(value)} is no schema.")
        for key, inner in value.items():
            if (rule := _RULES.get(key)) is not None:
                rule(self, inner, (*at, key))

    def schemas(self, value: object, at: Place) -> None:
        if not isinstance(value, list) or not value:
            raise _Fault(at, "use a list of schemas.")
        for index, item in enumerate(value):
            self.schema(item, (*at, str(index)))

    def schema_map(self, value: object, at: Place) -> None:
        if not isinstance(value, dict):
            raise _Fault(at, "use an object of schemas.")
        for key, item in value.items():
            self.schema(item, (*at, key))

    def items(self, value: object, at: Place) -> None:
        if not isinstance(value, list) or not self._lists_as_items:
            self.schema(value, at)
        elif value:
            self.schemas(value, at)

    def dependencies(self, value: object, at: Place) -> None:
        if not isinstance(value, dict):
            raise _Fault(at, "use an object.")
        for key, item in value.items():
            check_one = self.names if isinstance(item, list) else self.schema
            check_one(item, (*at, key))

    def name_map(self, value: object, at: Place) -> None:
        if not isinstance(value, dict):
            raise _Fault(at, "use an object of lists of names.")
        for key, item in value.items():
            self.names(item, (*at, key))

    def names(self, value: object, at: Place) -> None:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _Fault(at, "use a list of names.")
        if len(set(value)) < len(value):
            raise _Fault(at, "a name stands there twice.")

    def type(self, value: object, at: Place) -> None:
        kinds = value if isinstance(value, list) else [value]
        for kind in kinds:
            if not isinstance(kind, str) or kind not in TYPES:
                hint = " (use lower case)" if str(kind).lower() in TYPES else ""
                raise _Fault(at, f"{_shown(kind)} is no type{hint}.")
        if not kinds or len(set(kinds)) < len(kinds):
            raise _Fault(at, "use a type, or a list of different ones.")

    def text(self, value: object, at: Place) -> None:
        if not isinstance(value, str):
            raise _Fault(at, f"{_shown(value)} is no string.")

    def flag(self, value: object, at: Place) -> None:
        if not isinstance(value, bool):
            raise _Fault(at, f"{_shown(value)} is not true or false.")

    def list(self, value: object, at: Place) -> None:
        if not isinstance(value, list):
            raise _Fault(at, f"{_shown(value)} is no list.")

    def number(self, value: object, at: Place) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Fault(at, f"{_shown(value)} is no number.")

    def exclusive(self, value: object, at: Place) -> None:
        check_one = self.flag if self._draft_4 else self.number
        check_one(value, at)

    def factor(self, value: object, at: Place) -> None:
        self.number(value, at)
        if not isinstance(value, int | float) or value <= 0:
            raise _Fault(at, "use a number above 0.")

    def count(self, value: object, at: Place) -> None:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not whole or isinstance(value, bool) or value < 0:  # type: ignore[operator]
            raise _Fault(at, f"{_shown(value)} is no count.")

    def ref(self, value: object, at: Place) -> None:
        if not isinstance(value, str):
            raise _Fault(at, f"{_shown(value)} is no string.")
        if not value.startswith("#"):
            raise _Fault(at, "only '#/…' within the schema; nothing is fetched.")
        if value.startswith("#/") and not self._leads_somewhere(value):
            raise _Fault(at, f"nothing stands at {_shown(value)}.")

    def _leads_somewhere(self, pointer: str) -> bool:
        try:
            resolve_pointer(self._root, pointer)
        except LookupError:
            return False
        return True


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


Rule = Callable[[_Checker, object, Place], None]

_KEYWORDS: dict[Rule, str] = {
    _Checker.schema: " ".join(SCHEMA_KEYWORDS),
    _Checker.schemas: " ".join(SCHEMA_LIST_KEYWORDS),
    _Checker.schema_map: " ".join(SCHEMA_MAP_KEYWORDS),
    _Checker.items: "items",
    _Checker.dependencies: "dependencies",
    _Checker.name_map: "dependentRequired",
    _Checker.names: "required",
    _Checker.type: "type",
    _Checker.text: "title description $comment format pattern $id $anchor $schema",
    _Checker.flag: "uniqueItems",
    _Checker.list: "enum examples",
    _Checker.number: "minimum maximum",
    _Checker.exclusive: "exclusiveMinimum exclusiveMaximum",
    _Checker.factor: "multipleOf",
    _Checker.count: "minLength maxLength minItems maxItems minProperties maxProperties minContains"
    " maxContains",
    _Checker.ref: "$ref $dynamicRef $recursiveRef",
}
_RULES: dict[str, Rule] = {
    name: rule for rule, names in _KEYWORDS.items() for name in names.split()
}

KEYWORDS = frozenset((*_RULES, "const", "default"))
"""All keywords that are known."""


_DEPENDENT = ("dependentRequired", "dependentSchemas")
_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def normalize_draft(schema: Json, report: Callable[[str], None]) -> dict[str, Any]:
    """Rewrite keywords of other drafts for the schema's own; `report` gets a sentence for each.

    What can't be mended is left for `find_fault`. Sentences quote nothing.
    """
    return _DraftNormalizer(draft_of(schema), report).schema(schema)


class _DraftNormalizer:
    def __init__(self, draft: str, report: Callable[[str], None]) -> None:
        self._draft_4 = draft == DRAFT_4
        self._lists_as_items = draft in DRAFTS_WITH_LISTS_AS_ITEMS
        self._dependencies = draft in LEGACY_DRAFTS
        self._report = report

    def schema(self, schema: Json) -> dict[str, Any]:
        """Rewrite one schema and its subschemas, as `normalize_draft` does."""
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
    """Return the schema with null allowed."""
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
