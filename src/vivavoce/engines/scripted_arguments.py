"""Arguments for `model.echo`: values from the user's words that fit a function's schema.

Quoted text becomes strings, numbers become numbers, a listed value that was said is taken, and a
boolean is true without a "not" or "off". What is required and was not said is made up: a default,
an example, else the simplest value that the schema allows. Each value is held to its schema, and
the next one is tried where it does not fit.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.domain.parameter_schema import ALSO, identity, kind, properties, required
from vivavoce.engines.scripted_values import made_up_numbers, matching_texts
from vivavoce.engines.tool_validation import BudgetExhausted, CheckBudget, fits_schema

_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NO = frozenset(("not", "no", "off", "false", "don", "never"))
_MAX_DIGITS = 15
_MAX_WORDS = 20
"""Words of the user that are tried as a string of a certain form."""
_FILLING_S = 0.3
"""Of computing for one call, half of it in patterns."""
_MAX_DEPTH = 60
_MAX_LENGTH = 10_000
"""Characters of a string, items of a list and properties of an object that are made up."""
_MAX_MISSES = 60
"""Values made up for one place that do not fit it, in a row."""
_MAX_TEXTS = 1_000
_MAX_VARIANTS = 40
"""Values of one place that are tried instead of one that does not fit with the others."""
_FEW_VALUES, _FEW_PLACES = 4, 6
"""The same, for several places at once."""
_TEXT = {"type": "string"}
_KINDS = ("string", "integer", "boolean", "object", "array", "null")

_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/",
    "iri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "",
    "regex": ".",
    "byte": "AA==",
}
"""A string of each format."""
_FORMS = {
    "date": re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b"),
    "date-time": re.compile(
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?"
    ),
    "time": re.compile(r"\b\d\d?:\d\d(?::\d\d)?\b"),
    "email": re.compile(r"\b[\w.+-]{1,64}@[\w.-]{1,200}\w"),
    "ipv4": re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    "uri": re.compile(r"\bhttps?://[^\s<>\"']+"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
}
"""Expressions for a format in the user's words."""


class Unfillable(Exception):  # not of the tree: the call is reported as one that can't be made
    """No arguments were found that fit the function's schema."""


def arguments(function: ToolDeclaration, utterance: str, named: set[str]) -> Json:
    """Return the arguments of a call of `function`; `named` are the words of its name.

    Takes up to a third of a second for an intricate schema. Raises `Unfillable`.
    """
    filling = _Filling(function, _Material(utterance, named))
    value = filling.value(function.schema.arguments, True)
    if value is _MISSING:
        raise Unfillable("no arguments that fit its schema were found.")
    found: Json = value
    return found


_MISSING: Any = object()


@dataclass(slots=True)
class _Mark:
    quotes: int = 0
    numbers: int = 0


class _Material:
    """The user's words as material for values; quotes and numbers are used once."""

    def __init__(self, utterance: str, named: set[str]) -> None:
        self.utterance = utterance
        self.words = tuple(_WORD.findall(utterance))
        self.lower = frozenset(word.lower() for word in self.words)
        self.rest = " ".join(word for word in self.words if word.lower() not in named)
        self._quotes = _QUOTED.findall(utterance)
        self._numbers = [one for one in _NUMBER.findall(utterance) if len(one) <= _MAX_DIGITS]
        self._used = _Mark()

    def mark(self) -> _Mark:
        return _Mark(self._used.quotes, self._used.numbers)

    def reset(self, mark: _Mark) -> None:
        self._used = mark

    def quote(self) -> str | None:
        self._used.quotes += 1
        return next(iter(self._quotes[self._used.quotes - 1 :]), None)

    def number(self) -> float | None:
        self._used.numbers += 1
        return next(map(float, self._numbers[self._used.numbers - 1 :]), None)

    def has_named(self, value: object) -> bool:
        """Return whether the user said a listed value."""
        if isinstance(value, bool):
            return value is not self.is_negated()
        if isinstance(value, int | float):
            return any(float(one) == value for one in self._numbers)
        spoken = [word.lower() for word in _WORD.findall(str(value))]
        return value is not None and bool(spoken) and self.lower.issuperset(spoken)

    def is_negated(self) -> bool:
        return not self.lower.isdisjoint(_NO)


class _Filling:
    """The filling of one call."""

    def __init__(self, function: ToolDeclaration, material: _Material) -> None:
        self._schema = function.schema
        self._material = material
        self._budget = CheckBudget(_FILLING_S)
        self._open: list[int] = []
        self._empty: set[tuple[int, ...]] = set()
        """Subschemas, each with the variants around it, for which no value was found."""
        self._made: dict[object, Json] = {}

    def value(self, place: object, needed: bool, beside: Sequence[Any] = ()) -> Any:
        """Return a value for a place in the schema, none of those `beside`; else `_MISSING`.

        A value that is not `needed` is left out unless the user said it.
        """
        taken = set(map(identity, beside))
        found = (one for one in self.values(place, needed) if identity(one) not in taken)
        return next(found, _MISSING)

    def values(self, place: object, needed: bool) -> Iterator[Any]:
        """Yield different values that fit the place.

        A place within itself has none: the smallest value that fits has no need of it.
        """
        key = (id(place), needed, *self._open)
        if key in self._empty:
            return
        variants = self._schema.variants(place)
        tries = [(variant, needed) for variant in variants]
        if needed and len(variants) > 1:
            # What was said goes before what is made up, whichever alternative it is for.
            tries[:0] = [(variant, False) for variant in variants if kind(variant) != "boolean"]
        found_before: set[object] = set()
        for variant, made_up in tries:
            if id(variant) in self._open or len(self._open) >= _MAX_DEPTH:
                continue
            values = self._values(variant, made_up)
            mark = self._material.mark()
            misses = 0
            while (value := self._next(values, variant)) is not _MISSING:
                if (same := identity(value)) not in found_before and self._fits(value, place):
                    found_before.add(same)
                    misses = 0
                    yield value
                else:
                    self._material.reset(mark)
                    misses += 1
                    if misses > _MAX_MISSES and "enum" not in variant:
                        break
                mark = self._material.mark()
            self._material.reset(mark)
        if not found_before:
            self._empty.add(key)

    def _next(self, values: Iterator[Any], variant: object) -> Any:
        self._open.append(id(variant))
        try:
            return next(values, _MISSING)
        finally:
            self._open.pop()

    def _fits(self, value: object, place: object) -> bool:
        try:
            self._budget.require()
        except BudgetExhausted:
            raise Unfillable("its schema is too intricate.") from None
        return fits_schema(self._schema.root, value, place, self._budget)

    def _place(self, key: object, schema: Json) -> Json:
        """Return the schema, the same whenever it is asked for: places are known by identity."""
        return self._made.setdefault(key, schema)

    def _both(self, one: object, other: object) -> object:
        """Return the place of what fits two places."""
        if one is True or other is True:
            return other if one is True else one
        return self._place((id(one), id(other)), {"allOf": [one, other]})

    def _values(self, variant: Json, needed: bool) -> Iterator[Any]:
        """Yield values that may fit a variant, the user's words first."""
        if "enum" in variant and kind(variant) != "null":
            yield from self._listed(variant["enum"], needed)
            return
        yield from self._of_kind(kind(variant), variant, False)
        if not needed:
            return
        if "type" not in variant:
            yield from self._of_kind("number", variant, False)
        if "default" in variant:
            yield variant["default"]
        if kind(variant) != "string" or not variant.keys().isdisjoint(("format", "pattern")):
            yield from variant.get("examples", ())
        yield from self._of_kind(kind(variant), variant, True)
        if "type" not in variant:
            for other in _KINDS:
                if other != kind(variant):
                    yield from self._of_kind(other, variant, True)

    def _of_kind(self, named: str, variant: Json, needed: bool) -> Iterator[Any]:
        match named:
            case "integer" | "number":
                return self._numbers(variant, needed, named == "integer")
            case "boolean":
                yes = not self._material.is_negated()
                return iter((yes, not yes) if needed else (yes,))
            case "string":
                return self._strings(variant, needed)
            case "array" if needed:
                return self._arrays(variant)
            case "object" if needed:
                return self._objects(variant)
            case "null" if needed:
                return iter((None,))
        return iter(())

    def _listed(self, choices: list[Any], needed: bool) -> Iterator[Any]:
        named = [one for one in choices if self._material.has_named(one)]
        yield from sorted(named, key=lambda one: isinstance(one, bool))
        if needed:
            yield from choices

    def _numbers(self, variant: Json, needed: bool, whole: bool) -> Iterator[int | float]:
        if (spoken := self._material.number()) is not None:
            yield int(spoken) if whole or spoken.is_integer() else spoken
        if needed:
            yield from made_up_numbers(variant, whole)

    def _strings(self, variant: Json, needed: bool) -> Iterator[str]:
        material = self._material
        named = str(variant.get("format"))
        if (form := _FORMS.get(named)) is not None:
            yield from (found[0] for found in form.finditer(material.utterance))
        elif (quote := material.quote()) is not None:
            yield quote
        if not needed:
            return
        if named in _FORMATS:
            yield _FORMATS[named]
        yield material.rest
        least = min(int(variant.get("minLength", 0)), _MAX_LENGTH)
        most = min(int(variant.get("maxLength", _MAX_LENGTH)), _MAX_LENGTH)
        every = (variant, *variant.get(ALSO, ()))
        patterns = [str(one["pattern"]) for one in every if "pattern" in one]
        forms = [f"^(?:{_FORMS[one['format']].pattern})$" for one in every
                 if one.get("format") in _FORMS]  # fmt: skip
        if patterns:
            yield from material.words[:_MAX_WORDS]
        if patterns or forms:
            yield from matching_texts((*patterns, *forms), least, most)
        if patterns and forms:
            yield from matching_texts(patterns, least, most)
        yield from self._worded(least, most)

    def _worded(self, least: int, most: int) -> Iterator[str]:
        """Yield texts of the user's words, then others."""
        rest = self._material.rest
        yield rest.ljust(least, "x")[:most]
        yield from (one * max(least, 1) for one in "xX0-é" if most)
        for number in range(2, _MAX_TEXTS):
            yield f"{rest} {number}"[-most:].strip().rjust(least, "x")

    def _arrays(self, variant: Json) -> Iterator[list[Any]]:
        least = min(int(variant.get("minItems", 0)), _MAX_LENGTH)
        most = min(int(variant.get("maxItems", _MAX_LENGTH)), _MAX_LENGTH)
        prefix, item = variant.get("prefixItems", []), variant.get("items", True)
        places = [*prefix, *(self._both(item, one) for one in _contained(variant))][:most]
        for wanted in dict.fromkeys((max(least, 1), least)):
            items = self._array(variant, places, wanted, most)
            if items is not None:
                yield items
        if least == 0:
            yield []
        if items:
            others = [self._other_item(variant)] * (len(items) - len(places))
            yield from self._varied(items, [*places, *others])

    def _array(
        self, variant: Json, places: list[object], least: int, most: int
    ) -> list[Any] | None:
        """Return a list with items of these places, of others up to `least`, and what was said.

        `None` if there are not as many.
        """
        unique = bool(variant.get("uniqueItems"))
        items: list[Any] = []
        for place in places:
            if (value := self.value(place, True, items if unique else ())) is _MISSING:
                return None
            items.append(value)
        other = self._other_item(variant)
        if not places or "items" in variant:
            while len(items) < most:
                if (value := self.value(other, False, items)) is _MISSING:
                    break
                items.append(value)
        made_up = self.values(other, True)
        taken = set(map(identity, items)) if unique else set()
        while len(items) < min(least, most):
            value = next((one for one in made_up if identity(one) not in taken), _MISSING)
            if value is _MISSING:
                return None
            taken.add(identity(value))
            items.extend([value] * (1 if unique else min(least, most) - len(items)))
        return items

    def _other_item(self, variant: Json) -> object:
        """Return the place of items that neither have a place of their own nor are contained."""
        place = variant.get("items", True)
        for one in (variant, *variant.get(ALSO, ())):
            if "maxContains" in one and "contains" in one:
                excluded = self._place(id(one["contains"]), {"not": one["contains"]})
                place = self._both(place, excluded)
        return place

    def _objects(self, variant: Json) -> Iterator[dict[str, Any]]:
        least = min(int(variant.get("minProperties", 0)), _MAX_LENGTH)
        every = len(properties(variant))
        smallest: dict[str, Any] | None = None
        mark = self._material.mark()
        for optional, wanted in ((True, least), (False, least), (False, max(least, every))):
            self._material.reset(mark)
            mark = self._material.mark()
            found = self._object(variant, optional, wanted)
            if found is not None:
                yield found
                smallest = smallest if smallest and not optional else found
        if smallest:
            places = [self._property(variant, name) for name in smallest]
            for values in self._varied(list(smallest.values()), places):
                yield dict(zip(smallest, values, strict=True))

    def _object(self, variant: Json, optional: bool, least: int) -> dict[str, Any] | None:
        """Return an object with what it needs, and `least` properties if there are as many.

        With `optional`, it has the others that were said as well. `None` if one has no value.
        """
        found: dict[str, Any] = {}
        needed = frozenset(required(variant))
        for name in properties(variant):
            if name in needed or optional:
                value = self.value(self._property(variant, name), name in needed)
                if value is not _MISSING:
                    found[name] = value
        if not self._complete(variant, found, [*needed, *found]):
            return None
        for name in itertools.chain(properties(variant), self._further_names(variant)):
            if len(found) >= least:
                break
            if name in found:
                continue
            value = self.value(self._property(variant, name), True)
            if value is not _MISSING:
                found[name] = value
                if not self._complete(variant, found, [name]):
                    return None
        return found

    def _complete(self, variant: Json, found: dict[str, Any], names: list[str]) -> bool:
        """Add the properties `names` and those that they depend on; whether all have a value."""
        dependent = variant.get("dependentRequired", {})
        while names:
            name = names.pop()
            if name not in found:
                value = self.value(self._property(variant, name), True)
                if value is _MISSING:
                    return False
                found[name] = value
            names.extend(one for one in dependent.get(name, ()) if one not in found)
        return True

    def _property(self, variant: Json, name: str) -> object:
        """Return the place of a property, declared or not."""
        place: object = properties(variant).get(name)
        for pattern, one in variant.get("patternProperties", {}).items():
            if fits_schema({"pattern": pattern}, name):
                place = one if place is None else self._both(place, one)
        return variant.get("additionalProperties", True) if place is None else place

    def _further_names(self, variant: Json) -> Iterator[str]:
        """Yield names for properties that the schema does not name."""
        names = variant.get("propertyNames", True)
        for pattern, place in variant.get("patternProperties", {}).items():
            if place is not False:
                matching = self._place(pattern, {"type": "string", "pattern": pattern})
                yield from self.values(self._both(matching, names), True)
        if variant.get("additionalProperties") is False:
            return
        if "propertyNames" in variant:
            yield from self.values(self._both(_TEXT, names), True)
        else:
            yield from (f"key{number}" for number in range(1, _MAX_LENGTH))

    def _varied(self, values: list[Any], places: list[object]) -> Iterator[list[Any]]:
        """Yield the values with one, then the first few, replaced by others of their places."""
        for index, place in enumerate(places):
            for other in itertools.islice(self.values(place, True), _MAX_VARIANTS):
                yield [*values[:index], other, *values[index + 1 :]]
        few = [
            list(itertools.islice(self.values(place, True), _FEW_VALUES))
            for place in places[:_FEW_PLACES]
        ]
        for combination in itertools.product(*few):
            yield [*combination, *values[_FEW_PLACES:]]


def _contained(variant: Json) -> list[object]:
    """Return the places of items that a list has to contain."""
    return [
        one["contains"]
        for one in (variant, *variant.get(ALSO, ()))
        if "contains" in one
        for _ in range(min(int(one.get("minContains", 1)), _MAX_LENGTH))
    ]
