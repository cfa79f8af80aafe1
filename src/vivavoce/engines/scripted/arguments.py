"""Arguments for `model.echo`: values from the user's words that fit a function's schema.

Quoted text becomes strings, numbers become numbers, a listed value that was said is taken, and a
boolean is true without a "not" or "off". What is required and was not said is made up: a default,
an example, else the simplest value that the schema allows. Each value is held to its schema, and
the next one is tried where it does not fit.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.domain.parameter_schema import identity, kind, properties, required
from vivavoce.engines.patterns import matching_text
from vivavoce.engines.validators import Allowance, accepts

_WORD = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NO = frozenset(("not", "no", "off", "false", "don", "never"))
_MAX_DIGITS = 15
_MAX_WORDS = 20
"""Words of the user that are tried as a string of a certain form."""
_MAX_TRIES = 300
"""Values held to the schema for one call."""
_MAX_DEPTH = 24
_MAX_LENGTH = 10_000
"""Characters of a string, items of a list and properties of an object that are made up."""
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
    "date": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "date-time": re.compile(
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?"
    ),
    "time": re.compile(r"\b\d\d?:\d\d(?::\d\d)?\b"),
    "email": re.compile(r"\b[\w.+-]{1,64}@[\w.-]{1,200}\w"),
    "ipv4": re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    "uri": re.compile(r"\bhttps?://[^\s<>\"']+"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
}
"""What in the user's words is of a format."""


class Unfillable(Exception):  # not of the tree: the call is reported as one that can't be made
    """No arguments were found that fit the function's schema."""


def arguments(function: ToolDeclaration, said: str, named: set[str]) -> Json:
    """Return the arguments of a call of `function`; `named` are the words of its name.

    Takes up to a tenth of a second for an intricate schema. Raises `Unfillable`.
    """
    filling = _Filling(function, _Material(said, named))
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
    """What of the user's words can become values; quotes and numbers are used once."""

    def __init__(self, said: str, named: set[str]) -> None:
        self.said = said
        self.words = tuple(_WORD.findall(said))
        self.lower = frozenset(word.lower() for word in self.words)
        self.rest = " ".join(word for word in self.words if word.lower() not in named)
        self._quotes = _QUOTED.findall(said)
        self._numbers = [one for one in _NUMBER.findall(said) if len(one) <= _MAX_DIGITS]
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
        """Whether a listed value was said."""
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
        self._tries = 0
        self._allowance = Allowance()
        self._open: list[int] = []

    def value(self, place: object, needed: bool, beside: list[Any] | None = None) -> Any:
        """Return a value for a place in the schema, none of those `beside`; else `_MISSING`.

        What is not `needed` is left out unless the user said it. A place within itself is left
        out as well: the smallest value that fits has no need of it.
        """
        taken = {identity(one) for one in beside or ()}
        readings = self._schema.readings(place)
        tries = [(reading, needed) for reading in readings]
        if needed and len(readings) > 1:
            # What was said goes before what is made up, whichever alternative it is for.
            tries[:0] = [(reading, False) for reading in readings if kind(reading) != "boolean"]
        for reading, made_up in tries:
            if id(reading) in self._open or len(self._open) >= _MAX_DEPTH:
                continue
            self._open.append(id(reading))
            try:
                mark = self._material.mark()
                for value in self._values(reading, made_up):
                    if identity(value) not in taken and self._fits(value, place):
                        return value
                    self._material.reset(mark)
                    mark = self._material.mark()
                self._material.reset(mark)
            finally:
                self._open.pop()
        return _MISSING

    def _fits(self, value: object, place: object) -> bool:
        self._tries += 1
        if self._tries > _MAX_TRIES:
            raise Unfillable("its schema is too intricate.")
        return accepts(self._schema.root, value, place, self._allowance)

    def _values(self, plain: Json, needed: bool) -> Iterator[Any]:
        """Yield values that may fit a plain schema, the user's words first."""
        if "enum" in plain and kind(plain) != "null":
            yield from self._listed(plain["enum"], needed)
            return
        yield from self._of_kind(kind(plain), plain, False)
        if not needed:
            return
        if "type" not in plain:
            yield from self._of_kind("number", plain, False)
        if "default" in plain:
            yield plain["default"]
        if kind(plain) != "string" or not plain.keys().isdisjoint(("format", "pattern")):
            yield from plain.get("examples", ())
        yield from self._of_kind(kind(plain), plain, True)
        if "type" not in plain:
            for other in _KINDS:
                if other != kind(plain):
                    yield from self._of_kind(other, plain, True)

    def _of_kind(self, named: str, plain: Json, needed: bool) -> Iterator[Any]:
        match named:
            case "integer" | "number":
                return self._numbers(plain, needed, named == "integer")
            case "boolean":
                yes = not self._material.is_negated()
                return iter((yes, not yes) if needed else (yes,))
            case "string":
                return self._strings(plain, needed)
            case "array" if needed:
                return self._arrays(plain)
            case "object" if needed:
                return self._objects(plain)
            case "null" if needed:
                return iter((None,))
        return iter(())

    def _listed(self, choices: list[Any], needed: bool) -> Iterator[Any]:
        named = [one for one in choices if self._material.has_named(one)]
        yield from sorted(named, key=lambda one: isinstance(one, bool))
        if needed:
            yield from choices

    def _numbers(self, plain: Json, needed: bool, whole: bool) -> Iterator[int | float]:
        if (said := self._material.number()) is not None:
            yield int(said) if whole or said.is_integer() else said
        if not needed:
            return
        yield from _made_up_numbers(plain, whole)

    def _strings(self, plain: Json, needed: bool) -> Iterator[str]:
        material = self._material
        named = str(plain.get("format"))
        if (form := _FORMS.get(named)) is not None:
            yield from (found[0] for found in form.finditer(material.said))
        elif (quote := material.quote()) is not None:
            yield quote
        if not needed:
            return
        if named in _FORMATS:
            yield _FORMATS[named]
        yield material.rest
        if isinstance(pattern := plain.get("pattern"), str):
            yield from material.words[:_MAX_WORDS]
            if (sample := matching_text(pattern)) is not None:
                yield sample
        least = min(int(plain.get("minLength", 0)), _MAX_LENGTH)
        most = int(plain.get("maxLength", _MAX_LENGTH))
        yield material.rest.ljust(least, "x")[:most]
        for number in range(2, 12):
            yield f"{material.rest} {number}"[-most:].strip().rjust(least, "x")

    def _arrays(self, plain: Json) -> Iterator[list[Any]]:
        least = min(int(plain.get("minItems", 0)), _MAX_LENGTH)
        most = min(int(plain.get("maxItems", _MAX_LENGTH)), _MAX_LENGTH)
        begin: list[Any] = []
        if (contained := plain.get("contains")) is not None:
            for _ in range(min(int(plain.get("minContains", 1)), _MAX_LENGTH)):
                beside = begin if plain.get("uniqueItems") else None
                begin.append(self.value(contained, True, beside))
        if _MISSING not in begin:
            yield self._array(plain, begin, max(least, 1), most)
        yield self._array(plain, begin, least, most)
        if least <= 0:
            yield []

    def _array(self, plain: Json, begin: list[Any], least: int, most: int) -> list[Any]:
        """Return a list of what was said, and of at least `least` items if those can be found."""
        places = plain.get("prefixItems", [])
        item = plain.get("items", True)
        items: list[Any] = [] if places else list(begin)
        while len(items) < most:
            place = places[len(items)] if len(items) < len(places) else item
            needed = len(items) < max(least, len(places))
            unique = plain.get("uniqueItems") or not needed
            if places and not needed and "items" not in plain:
                break
            value = self.value(place, needed, items if unique else None)
            if value is _MISSING:
                break
            items.append(value)
        if places:
            items.extend(begin[: max(0, most - len(items))])
        return items

    def _objects(self, plain: Json) -> Iterator[dict[str, Any]]:
        names = _closure(required(plain), plain.get("dependentRequired"))
        mark = self._material.mark()
        for optional, every in ((True, False), (False, False), (True, True)):
            self._material.reset(mark)
            mark = self._material.mark()
            found = self._object(plain, names, optional, every)
            if found is not None:
                yield found

    def _object(
        self, plain: Json, names: frozenset[str], optional: bool, every: bool
    ) -> dict[str, Any] | None:
        """Return an object with the properties `names`; `None` if one of them has no value.

        `optional` adds those that were said, `every` also those that were not.
        """
        found: dict[str, Any] = {}
        for name, place in properties(plain).items():
            if name in names or optional:
                value = self.value(place, name in names or every)
                if value is not _MISSING:
                    found[name] = value
        least = min(int(plain.get("minProperties", 0)), _MAX_LENGTH)
        further = (one for one in self._further_names(plain) if one not in found)
        for name in itertools.chain(sorted(names - properties(plain).keys()), further):
            if name not in names and len(found) >= least:
                break
            value = self.value(_place_of(plain, name), True)
            if value is not _MISSING:
                found[name] = value
            elif name in names:
                return None
        return found if names <= found.keys() else None

    def _further_names(self, plain: Json) -> Iterator[str]:
        """Yield names for properties that the schema does not name."""
        for pattern in plain.get("patternProperties", {}):
            if (name := matching_text(pattern)) is not None:
                yield name
        named = plain.get("propertyNames")
        if named is None:
            yield from (f"key{number}" for number in range(1, _MAX_TRIES))
            return
        made: list[Any] = []
        while len(made) < _MAX_TRIES:
            name = self.value(named, True, made)
            if not isinstance(name, str):
                return
            made.append(name)
            yield name


def _made_up_numbers(plain: Json, whole: bool) -> Iterator[int | float]:
    """Yield numbers near zero, and near the bounds, that are multiples of the factor."""
    step = plain.get("multipleOf", 1)
    if whole and step != int(step):
        step = next((step * n for n in range(2, 1001) if (step * n).is_integer()), 1)
    low = max(plain.get("minimum", -math.inf), plain.get("exclusiveMinimum", -math.inf))
    high = min(plain.get("maximum", math.inf), plain.get("exclusiveMaximum", math.inf))
    begin = 0 if low <= 0 <= high else low if low > 0 else high
    base = math.floor(begin / step) if math.isfinite(begin / step) else 0
    for offset in (0, 1, -1, 2, -2, *range(3, 20)):
        value = (base + offset) * step
        if math.isfinite(value):
            yield int(value) if whole or value == int(value) else value
    if not whole:
        yield (base + 0.5) * step
        if math.isfinite(low) and math.isfinite(high):
            yield (low + high) / 2
            yield low


def _closure(names: tuple[str, ...], dependent: object) -> frozenset[str]:
    """Return the names with those that they depend on."""
    found = set(names)
    waiting = list(names)
    while waiting and isinstance(dependent, Mapping):
        for name in dependent.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


def _place_of(plain: Json, name: str) -> object:
    """Return the schema of a property that has none of its own name."""
    for pattern, place in plain.get("patternProperties", {}).items():
        if accepts({"pattern": pattern}, name):
            return place
    return plain.get("additionalProperties", {})
