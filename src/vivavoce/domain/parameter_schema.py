"""Resolve the JSON Schema of a function's arguments into schemas without references.

A resolved variant is one way to satisfy a subschema. References are followed, keywords that must
hold at once (`allOf`, keywords beside a reference) are merged, and of alternatives (`anyOf`,
`oneOf`, a list of types, `if`) it is one. So it has at most one `type` and none of those keywords;
`const` is an `enum` of one value, a list as `items` is `prefixItems`. Of several patterns, formats
and `contains` it has the first, and the others as `ALSO`.

Subschemas are resolved on demand, and once, so that a recursive schema is resolved as far as it is
followed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

Schema = Mapping[str, Any]

LEGACY_DRAFTS = frozenset(f"http://json-schema.org/draft-0{number}/schema" for number in (4, 6, 7))
"""Drafts with `dependencies`, in which a reference replaces its sibling keywords."""

_MAX_VARIANTS = 64
"""Resolved variants of one subschema; no caller tries more."""
_MAX_STEPS = 500
"""Subschemas visited, and variants merged, to resolve one subschema: 3 ms of CPU."""

_MAX_DEPTH = 64
"""Nested references and alternatives."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_READ = frozenset((
    *_REFERENCES, "allOf", "anyOf", "oneOf", "const", "if", "then", "else", "items",
    "additionalItems", "dependentSchemas", "dependencies", "exclusiveMinimum", "exclusiveMaximum",
    "$defs", "definitions", "$schema", "$id", "id", "$anchor", "$dynamicAnchor",
    "$recursiveAnchor", "$comment",
))  # fmt: skip
"""Keywords that a resolved variant does not have, or in another form."""
_CONJOINED = ("items", "additionalProperties", "propertyNames")
_BESIDE = {"contains": ("minContains", "maxContains")}
ALSO = "$also"
"""Keyword of a resolved variant: values of keywords that can't be merged with its own."""
_KEYWORD_TYPES = {
    "object": "properties required additionalProperties patternProperties minProperties"
    " maxProperties propertyNames dependentRequired",
    "array": "items prefixItems minItems maxItems uniqueItems contains",
    "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
}
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


class ParameterSchema:
    """Schema `root` with the resolved variants of its subschemas, cached; thread-safe."""

    def __init__(self, root: Schema | None) -> None:
        self.root: Schema = {} if root is None else root
        self.arguments: Schema = {"type": "object", "allOf": [self.root]}
        """The schema of the arguments: the root, and always an object."""
        self._known: dict[int, tuple[object, tuple[Schema, ...]]] = {}
        self._anchors: dict[str, Schema] | None = None

    def variants(self, subschema: object) -> tuple[Schema, ...]:
        """Return the resolved variants of `subschema`: a value must match one. Null comes last.

        `subschema` is `arguments` or a schema found within a variant. Empty if no value matches, as
        far as types and enumerations tell. One that takes more than `_MAX_STEPS` resolves to `{}`:
        values are validated against the schema itself anyway.
        """
        if (known := self._known.get(id(subschema))) is not None:
            return known[1]
        return _VariantResolver(self, self._known).variants(subschema)

    def first(self, subschema: object) -> Schema:
        """Return the first resolved variant of `subschema`; empty if there is none."""
        return next(iter(self.variants(subschema)), {})

    def target(self, reference: str) -> object:
        """Return the target of a reference; `False`, which nothing matches, if there is none."""
        if reference == "#" or reference.startswith("#/"):
            try:
                return resolve_pointer(self.root, reference)
            except LookupError:
                return False
        if self._anchors is None:
            self._anchors = dict(_anchored(self.root))
        return self._anchors.get(reference, False)


class _VariantResolver:
    """Resolver of one subschema and those it refers to; `known` are resolved already."""

    def __init__(
        self, schema: ParameterSchema, known: dict[int, tuple[object, tuple[Schema, ...]]]
    ) -> None:
        self._schema = schema
        self._replaces = draft_of(schema.root) in LEGACY_DRAFTS
        self._known = known
        self._open: list[int] = []
        self._lowest_cut = _MAX_STEPS
        """Index in the open subschemas of the highest one that was met within itself."""
        self._steps = 0

    def variants(self, subschema: object) -> tuple[Schema, ...]:
        """Return the resolved variants of `subschema`; none for one within itself."""
        if (known := self._known.get(id(subschema))) is not None:
            return known[1]
        self._steps += 1
        if id(subschema) in self._open:
            self._lowest_cut = min(self._lowest_cut, self._open.index(id(subschema)))
            return ()
        if self._steps > _MAX_STEPS or len(self._open) >= _MAX_DEPTH:
            self._lowest_cut = 0
            return ({},)
        self._open.append(id(subschema))
        try:
            found = self._resolve(subschema)
        finally:
            self._open.pop()
        if self._lowest_cut >= len(self._open):
            # Nothing above was cut, so this holds wherever the subschema is reached from.
            self._lowest_cut = _MAX_STEPS
            self._known[id(subschema)] = (subschema, found)
        return found

    def _resolve(self, subschema: object) -> tuple[Schema, ...]:
        if isinstance(subschema, bool):
            return ({},) if subschema else ()
        if not isinstance(subschema, Mapping):
            return ({},)
        choices = list(self._choices(subschema))
        found: list[Schema] = []
        for combination in itertools.islice(itertools.product(*choices), 4 * _MAX_VARIANTS):
            if found and self._steps > _MAX_STEPS:
                break
            self._steps += sum(map(_weight, combination))
            variant: Schema | None = combination[0]
            for other in combination[1:]:
                variant = _merged(variant, other) if variant is not None else None
            if variant is not None and (variant := _narrowed(variant)) is not None:
                found.append(variant)
        found.sort(key=lambda one: kind(one) == "null")
        return tuple(found[:_MAX_VARIANTS])

    def _choices(self, subschema: Schema) -> Iterator[Sequence[Schema]]:
        """Yield, for each condition that must hold, the variants of which one must match."""
        if self._replaces and isinstance(subschema.get("$ref"), str):
            yield self.variants(self._schema.target(subschema["$ref"]))
            return
        own = _own_keywords(subschema)
        types = _listed(subschema.get("type"))
        yield [own | {"type": str(one).lower()} for one in types] or [own]
        for key in _REFERENCES:
            if isinstance(subschema.get(key), str):
                yield self.variants(self._schema.target(subschema[key]))
        for one in _listed(subschema.get("allOf")):
            yield self.variants(one)
        for key in ("anyOf", "oneOf"):
            if key in subschema:
                yield tuple(
                    itertools.chain(*(self.variants(one) for one in _listed(subschema.get(key))))
                )[:_MAX_VARIANTS]
        if "if" in subschema:
            met = [_merged(one, then) for one in self.variants(subschema["if"])
                   for then in self.variants(subschema.get("then", True))]  # fmt: skip
            unmet = self.variants(subschema.get("else", True))
            yield [*(one for one in met if one is not None), *unmet][:_MAX_VARIANTS]
        for key in ("dependentSchemas", "dependencies"):
            for one in _mapped(subschema.get(key)).values():
                if isinstance(one, Mapping | bool):
                    yield (*self.variants(one), {})


def draft_of(schema: Schema) -> str:
    """Return the draft that the schema names, without a fragment; empty if it names none."""
    draft = schema.get("$schema")
    return draft.rstrip("#") if isinstance(draft, str) else ""


def resolve_pointer(root: object, pointer: str) -> object:
    """Return the target of a JSON pointer in the form of a URI fragment (`#/$defs/a%20b`).

    Raises `LookupError` if there is none.
    """
    here = root
    for step in _ESCAPES.sub(_decoded, pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(here, Mapping):
            here = here[name]
        elif isinstance(here, list) and _is_index(name, len(here)):
            here = here[int(name)]
        else:
            raise LookupError(pointer)
    return here


def kind(variant: Schema) -> str:
    """Return the type of a resolved variant; without one, the type its keywords are about."""
    if isinstance(named := variant.get("type"), str):
        return named.lower()
    for name, keywords in _KEYWORD_TYPES.items():
        if not variant.keys().isdisjoint(keywords.split()):
            return name
    return "string"


def properties(variant: Schema) -> Schema:
    """Return the schemas of an object's properties, in the order of declaration."""
    found = variant.get("properties")
    return found if isinstance(found, Mapping) else {}


def required(variant: Schema) -> tuple[str, ...]:
    """Return the names of the properties that an object must have."""
    return tuple(map(str, _listed(variant.get("required"))))


def identity(value: object) -> object:
    """Return a hashable key, equal for equal JSON only: 1 equals 1.0, but not true."""
    if isinstance(value, list | tuple):
        return ("array", *map(identity, value))
    if isinstance(value, Mapping):
        return ("object", frozenset((name, identity(one)) for name, one in value.items()))
    return ("boolean", value) if isinstance(value, bool) else value


def decimal(value: float) -> Fraction:
    """Return a number as it is written in JSON: 0.1 is a tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(str(value))


def common_multiple(one: Fraction, other: Fraction) -> Fraction:
    """Return the least multiple of both."""
    over = math.lcm(one.denominator, other.denominator)
    return Fraction(math.lcm(int(one * over), int(other * over)), over)


def _json_number(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)


def _own_keywords(subschema: Schema) -> dict[str, Any]:
    """Return the keywords other than references and alternatives, in the form of 2020-12."""
    own = {key: value for key, value in subschema.items() if key not in _READ}
    if isinstance(own.get("type"), str):
        own["type"] = own["type"].lower()
    else:
        own.pop("type", None)
    if "const" in subschema:
        own["enum"] = _shared(own.get("enum", [subschema["const"]]), [subschema["const"]])
    items = subschema.get("items")
    if isinstance(items, list):
        own["prefixItems"] = items
        items = subschema.get("additionalItems")
    if items is not None:
        own["items"] = items
    if lists := {key: one for key, one in _mapped(subschema.get("dependencies")).items()
                 if isinstance(one, list)}:  # fmt: skip
        own["dependentRequired"] = _joint_map(_mapped(own.get("dependentRequired")), lists)
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        exclusive = subschema.get(key)
        if exclusive is True and bound in own:
            own[key] = own.pop(bound)
        elif exclusive is not None and not isinstance(exclusive, bool):
            own[key] = exclusive
    return own


def _merged(one: Schema, other: Schema) -> Schema | None:
    """Return the variant of the values that match both; `None` if none can."""
    if not one or not other:
        return one or other
    result = dict(one)
    for key, value in other.items():
        if key not in result:
            result[key] = value
            continue
        mine = result[key]
        match key:
            case "type":
                if (joint := _joint_type(mine, value)) is None:
                    return None
                result[key] = joint
            case "enum":
                result[key] = _shared(mine, value)
            case "required":
                result[key] = list(dict.fromkeys((*mine, *value)))
            case "properties" | "patternProperties" | "dependentRequired":
                result[key] = _joint_map(mine, value)
            case "prefixItems":
                longest = itertools.zip_longest(mine, value, fillvalue=True)
                result[key] = [_both(a, b) for a, b in longest]
            case "$also":
                result[key] = [*mine, *value]
            case "not":
                result[key] = {"anyOf": [mine, value]}
            case "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties":
                result[key] = max(mine, value)
            case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties":
                result[key] = min(mine, value)
            case "multipleOf":
                result[key] = _json_number(common_multiple(decimal(mine), decimal(value)))
            case _ if key in _CONJOINED:
                result[key] = _both(mine, value)
            case "pattern" | "format" | "contains" if mine != value:
                beside = {one: other[one] for one in _BESIDE.get(key, ()) if one in other}
                result[ALSO] = [*result.get(ALSO, ()), {key: value, **beside}]
    return result


def _joint_type(one: str, other: str) -> str | None:
    if one == other:
        return one
    return "integer" if {one, other} == {"integer", "number"} else None


def _joint_map(one: Schema, other: Schema) -> dict[str, Any]:
    joint = dict(one)
    for name, value in other.items():
        if name not in joint:
            joint[name] = value
        elif isinstance(value, list):
            joint[name] = list(dict.fromkeys((*joint[name], *value)))
        else:
            joint[name] = _both(joint[name], value)
    return joint


def _both(one: object, other: object) -> object:
    return one if one == other else {"allOf": [one, other]}


def _narrowed(variant: Schema) -> Schema | None:
    """Return the variant with the enumerated values of its type; `None` without any."""
    if "enum" not in variant:
        return variant
    named = variant.get("type")
    values = [one for one in _listed(variant["enum"]) if named is None or _is_a(one, named)]
    return {**variant, "enum": values} if values else None


def _is_a(value: object, named: str) -> bool:
    match named:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, float) and value.is_integer()
            return (isinstance(value, int) or whole) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
    return isinstance(value, Mapping)


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _mapped(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _shared(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    known = set(map(identity, other))
    return [value for value in one if identity(value) in known]


def _weight(variant: Schema) -> int:
    """Return the steps that merging a variant costs."""
    return 1 + (len(properties(variant)) + len(_listed(variant.get("enum")))) // 32


def _is_index(name: str, length: int) -> bool:
    """Return whether a step of a pointer, of any number of digits, is the index of an item."""
    digits = name.isascii() and name.isdecimal() and len(name) <= len(str(length))
    return digits and int(name) < length


def _decoded(escapes: re.Match[str]) -> str:
    return bytes.fromhex(escapes[0].replace("%", "")).decode("utf-8", "replace")


def _anchored(root: object) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas that have an anchor, each with the reference to it."""
    waiting = [root]
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting.extend(here)
        elif isinstance(here, Mapping):
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := here.get(key), str):
                    yield f"#{name}", here
            for key in ("$id", "id"):
                if isinstance(name := here.get(key), str) and name.startswith("#"):
                    yield name, here
            waiting.extend(here.values())
