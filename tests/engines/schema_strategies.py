"""Hypothesis strategies for JSON Schemas of functions, with and without a value that fits."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Pair = tuple[Any, Any]
"""A schema, and a value that fits it."""

NAMES = st.sampled_from(["level", "city", "when", "items", "note", "x", "a-b"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-50, 50),
    st.sampled_from([0.5, -2.25, 10.0]),
    st.text("abc -1é", max_size=6),
)
_WORDS = st.text("abcd 12", max_size=12)


@st.composite
def _scalar(draw: st.DrawFn) -> Pair:
    value = draw(SCALARS)
    match value:
        case None:
            return {"type": "null"}, value
        case bool():
            return {"type": "boolean"}, value
        case int() | float():
            kind = draw(st.sampled_from(["integer", "number"])) if isinstance(value, int) \
                else "number"  # fmt: skip
            bounds = {"minimum": value - draw(st.integers(0, 3)), "maximum": value + 2}
            return {"type": kind, **draw(_some(bounds))}, value
    bounds = {"minLength": len(value), "maxLength": len(value) + draw(st.integers(0, 9))}
    return {"type": "string", **draw(_some(bounds))}, value


@st.composite
def _listed(draw: st.DrawFn) -> Pair:
    values = draw(st.lists(SCALARS, min_size=1, max_size=4))
    value = draw(st.sampled_from(values))
    return ({"const": value} if draw(st.booleans()) else {"enum": values}), value


def _some(of: Json) -> st.SearchStrategy[Json]:
    """Some of the entries."""
    return st.sets(st.sampled_from(sorted(of))).map(lambda keys: {key: of[key] for key in keys})


@st.composite
def _array(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    if draw(st.booleans()):
        pairs = draw(st.lists(inner, min_size=1, max_size=3))
        schema = {"type": "array", "prefixItems": [one for one, _ in pairs]}
        more = {"items": False, "minItems": len(pairs)}
        return {**schema, **draw(_some(more))}, [value for _, value in pairs]
    item, value = draw(inner)
    count = draw(st.integers(0, 3))
    bounds = {"minItems": count, "maxItems": count + draw(st.integers(0, 2))}
    return {"type": "array", "items": item, **draw(_some(bounds))}, [value] * count


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.dictionaries(NAMES, inner, max_size=3))
    places = {name: schema for name, (schema, _) in pairs.items()}
    value = {name: one for name, (_, one) in pairs.items()}
    needed = sorted(draw(st.sets(st.sampled_from(sorted(pairs))))) if pairs else []
    more = {"required": needed, "additionalProperties": False, "minProperties": len(needed)}
    return {"type": "object", "properties": places, **draw(_some(more))}, value


@st.composite
def _alternatives(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    (first, value), (second, _) = draw(inner), draw(inner)
    kind = draw(st.sampled_from(["anyOf", "types", "allOf", "if"]))
    if kind == "types" and isinstance(first, dict) and isinstance(first.get("type"), str):
        return {**first, "type": sorted({first["type"], "null"})}, value
    if kind == "if":
        return {"if": second, "then": True, "else": first}, value
    if kind == "anyOf":
        return {"anyOf": draw(st.permutations([first, second]))}, value
    return {"allOf": [{"description": "One."}, first], "title": "A value"}, value


def _with_references(pair: Pair, chosen: list[bool]) -> Pair:
    """The pair with some of its schemas moved to where references lead to them."""
    moved: Json = {}
    choices = iter(chosen)

    def walk(place: Any) -> Any:
        if not isinstance(place, dict):
            return place
        walked = {key: inside(key, one) for key, one in place.items()}
        if not next(choices, False):
            return walked
        name = f"D{len(moved)}"
        moved[name] = walked
        return {"$ref": f"#/$defs/{name}"}

    def inside(key: str, one: Any) -> Any:
        if key == "properties":
            return {name: walk(place) for name, place in one.items()}
        if key in ("anyOf", "allOf", "prefixItems"):
            return [walk(place) for place in one]
        return walk(one) if key in ("items", "if", "then", "else") else one

    schema, value = pair
    return {**{key: inside(key, one) for key, one in schema.items()}, "$defs": moved}, value


places = st.recursive(
    st.one_of(_scalar(), _listed()),
    lambda inner: st.one_of(_array(inner), _object(inner), _alternatives(inner)),
    max_leaves=8,
)
functions = st.builds(_with_references, _object(places), st.lists(st.booleans(), max_size=20))
"""Schemas of a function's arguments, each with arguments that fit."""

_KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"]),
    "enum": st.lists(SCALARS, max_size=3),
    "const": SCALARS,
    "minimum": st.integers(-5, 5),
    "maximum": st.integers(-5, 5),
    "multipleOf": st.sampled_from([1, 2, 0.5, 7]),
    "minLength": st.integers(0, 5),
    "maxLength": st.integers(0, 5),
    "pattern": st.sampled_from(["^[a-z]+$", r"^\d{3}$", "(", "a|b", "(?=x)y"]),
    "format": st.sampled_from(["date", "email", "made-up"]),
    "minItems": st.integers(0, 3),
    "maxItems": st.integers(0, 3),
    "uniqueItems": st.booleans(),
    "required": st.lists(NAMES, max_size=2, unique=True),
    "minProperties": st.integers(0, 3),
    "default": SCALARS,
    "$ref": st.sampled_from(["#", "#/properties", "#nowhere"]),
}


def _anything(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    named = st.dictionaries(NAMES, inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            **{key: _KEYWORDS[key] for key in ("type", "required", "enum", "minItems", "default")},
            "properties": named,
            "items": inner,
            "additionalProperties": inner,
            "contains": inner,
            "not": inner,
            "if": inner,
            "then": inner,
            "patternProperties": st.dictionaries(_KEYWORDS["pattern"], inner, max_size=1),
            "dependentSchemas": named,
            **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), several),
        },
    )


anything = st.recursive(
    st.one_of(st.booleans(), st.fixed_dictionaries({}, optional=_KEYWORDS)),
    _anything,
    max_leaves=10,
).map(lambda one: {"type": "object", "properties": {"value": one}, "required": ["value"]})
"""Schemas of whatever keywords, which mostly contradict themselves."""
