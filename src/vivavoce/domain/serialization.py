"""Serialization: dataclasses as tagged JSON, and checks of values against their annotations.

Tagged JSON names the class of every object: `{"is": "Text", "text": "hello"}`. Objects without a
tag are up to each format. Checks are for what no type checker has seen: a stored checkpoint, the
output of an engine. Annotations may be built from classes, `Any`, `None`, unions, tuples, sequences
and mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from itertools import repeat
from math import isfinite
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

TAG = "is"

_UNIONS = (Union, type(int | str))
_CLASSES = {float: (float, int)}
_Check = tuple[object, Any, str]


def index_kinds(*kinds: Any) -> dict[str, Any]:
    """Return a mapping of classes by name, the tag in JSON."""
    return {kind.__name__: kind for kind in kinds}


def read_tagged(
    written: object, kinds: Mapping[str, Any], read_other: Callable[[dict[str, Any]], object]
) -> Any:
    """Return the value of tagged JSON: objects of `kinds`, and tuples for lists.

    `read_other` gets objects without a tag. Raises `LookupError`, `TypeError` or `ValueError` for
    what is neither.
    """
    if isinstance(written, list):
        return tuple(read_tagged(item, kinds, read_other) for item in written)
    if not isinstance(written, dict):
        return written
    if TAG not in written:
        return read_other(written)
    kind = kinds[written[TAG]]
    if issubclass(kind, Enum):
        return kind[written["name"]] if "name" in written else kind(written["value"])
    members = {name: value for name, value in written.items() if name != TAG}
    return kind(**{n: read_tagged(value, kinds, read_other) for n, value in members.items()})


def find_mismatch(value: object, annotation: Any, name: str = "value") -> str:
    """Return the first value that contradicts `annotation`: `part.text: NoneType`; else empty.

    `True` is no number, numbers are finite, and an integer may stand where a float is wanted.
    """
    if isinstance(annotation, NewType):
        annotation = annotation.__supertype__
    if annotation is Any:
        return ""
    if get_origin(annotation) in _UNIONS:
        kinds = get_args(annotation)
        same = tuple(kind for kind in kinds if kind is type(value))
        found = [find_mismatch(value, kind, name) for kind in same or kinds]
        return "" if "" in found else found[0]
    origin = get_origin(annotation) or annotation
    if not isinstance(value, _CLASSES.get(origin, origin)) or (
        isinstance(value, bool) and origin in (int, float)
    ):
        return f"{name}: {type(value).__name__}"
    if isinstance(value, float) and not isfinite(value):
        return f"{name}: {value}"
    kinds = get_args(annotation)
    fixed = origin is tuple and kinds[-1:] != (...,)
    if fixed and isinstance(value, tuple) and len(value) != len(kinds):
        return f"{name}: {len(value)} items"
    checks = _checks_within(value, origin, kinds, name)
    return next(filter(None, (find_mismatch(*check) for check in checks)), "")


def _checks_within(value: Any, origin: Any, kinds: tuple[Any, ...], name: str) -> Iterable[_Check]:
    """Yield checks for the items or fields of a value of the right class."""
    if is_dataclass(origin) and isinstance(origin, type):
        for field, kind in _hints(origin).items():
            yield getattr(value, field), kind, f"{name}.{field}"
    elif issubclass(origin, Mapping):
        for key in value if kinds else ():
            yield key, kinds[0], f"key of {name}"
            yield value[key], kinds[1], f"value of {name}"
    elif kinds:
        several = repeat(kinds[0]) if len(kinds) == 1 or kinds[-1] is ... else kinds
        for place, (item, kind) in enumerate(zip(value, several, strict=False)):
            yield item, kind, f"{name}[{place}]"


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
