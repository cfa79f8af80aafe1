"""Whether something that a stranger declares is JSON Schema that may be worked with.

Held against a table of keywords instead of the specification's own schema of schemas: that takes
5 ms for one declaration, and there may be 512 in a client's first message. The table knows the
drafts from 4 on and takes 2020-12 where `$schema` names none of them. What it doesn't know is an
annotation. Faults are

- values that a keyword can't have, and types that don't exist;
- a `$ref` to anything outside of the schema, which would have to be fetched, or to nothing;
- parameters that are plainly no object, and nesting that nobody could follow.

Schemas that refer to themselves are welcome. Those that contradict themselves (a minimum above
the maximum, an enumeration of another type, a property that is required and not allowed) are let
in: no call can fit them, and each ends as `MALFORMED_FUNCTION_CALL`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.domain.content import Json
from vivavoce.domain.parameter_schema import resolve_pointer

TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
DRAFT_4 = "http://json-schema.org/draft-04/schema"
DRAFTS_WITH_LISTS_AS_ITEMS = frozenset(
    (
        DRAFT_4,
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
    )
)
SCHEMA_KEYWORDS = frozenset(
    ("items", "additionalProperties", "additionalItems", "contains", "not", "if", "then", "else",
     "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema")
)  # fmt: skip
SCHEMA_LIST_KEYWORDS = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
SCHEMA_MAP_KEYWORDS = frozenset(
    ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
)
"""Keywords whose value is a schema, a list of schemas, an object of schemas by name."""
_SHOWN = 40

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """What is wrong, in one sentence, and the keys that lead there."""

    place: Place
    problem: str

    @property
    def pointer(self) -> str:
        """The place as people write it: `#/properties/city`."""
        return "/".join(("#", *self.place))


TOO_DEEP = SchemaFault((), "nested too deeply.")


def draft_of(schema: Json) -> str:
    """The draft that the schema names, without a fragment; empty if it names none."""
    draft = schema.get("$schema")
    return draft.rstrip("#") if isinstance(draft, str) else ""


class _Fault(Exception):
    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem


def find_fault(schema: Json) -> SchemaFault | None:
    """What is wrong with the schema of a function's arguments."""
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
    """Checks one schema and all within it."""

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
"""Those that say something of values, and the words beside them that a schema is checked for."""
