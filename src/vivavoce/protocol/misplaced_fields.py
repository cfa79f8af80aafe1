"""Fields that stand in the wrong object: where each belongs, and how it gets there.

A field is recognized by its name alone, so only names that occur once are moved, and only to where
nothing stands yet. What is repeated or free in form is left as it is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.alias_generators import to_snake

from vivavoce.protocol.wire_base import OnMismatch, Wire, attribute_of, object_of, spellings

Fields = dict[str, Any]
Path = tuple[str, ...]

MAX_NAME = 64
"""No field has a longer name."""

MAX_PASSES = 4
"""A misplaced object may hold misplaced fields."""


def relocate_fields(root: type[Wire], fields: Fields, report: OnMismatch) -> Fields:
    """The fields of a message with misplaced ones moved to their own objects, at any depth."""
    for _ in range(MAX_PASSES):
        strays: list[tuple[Path, Any]] = []
        fields = _sifted(root, root, fields, strays)
        if not strays:
            break
        for path, value in strays:
            _place(root, fields, path, value, report)
    return fields


def gather_fields(message: type[Wire], fields: Fields, report: OnMismatch) -> Fields:
    """The kinds of messages with what stands beside them, or in another one, moved into its own."""
    kinds = {name: object_of(message, name) for name in message.model_fields}
    owners = _owners(message, "setup" in fields)
    for name, kind in (("", message), *kinds.items()):
        holder = fields if not name else fields.get(name)
        if kind is None or not isinstance(holder, dict):
            continue
        strays = {key: owner for key in holder if (owner := owners.get(_proto_name(key)))}
        strays = {k: o for k, o in strays.items() if o != name and not kind.reads(k)}
        if strays and name:
            fields[name] = holder = dict(holder)
        for key, owner in strays.items():
            place = (owner,) if _proto_name(key) == owner else (owner, _proto_name(key))
            _place(message, fields, place, holder.pop(key), report)
    return fields


@cache
def _owners(message: type[Wire], setup: bool) -> dict[str, str]:
    """In which kind of message each field stands; of several the first. A kind is its own."""
    owners: dict[str, str] = {kind: kind for kind in message.model_fields if kind != "setup"}
    for kind in message.model_fields:
        inner = object_of(message, kind)
        if inner is not None and (setup or kind != "setup"):
            for name in inner.model_fields:
                owners.setdefault(name, kind)
    return owners


@cache
def _places(root: type[Wire]) -> dict[str, Path]:
    """Where below `root` the fields stand whose name occurs once."""
    found: dict[str, list[Path]] = {}
    edge: list[tuple[type[Wire], Path]] = [(root, ())]
    while edge:
        kind, path = edge.pop()
        for attribute, field in kind.model_fields.items():
            name = field.alias or attribute
            found.setdefault(name, []).append((*path, name))
            inner = object_of(kind, attribute)
            if inner is not None and inner.GATHERS:
                edge.append((inner, (*path, name)))
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _proto_name(key: str) -> str:
    return to_snake(key) if len(key) <= MAX_NAME else ""


def _sifted(
    root: type[Wire], kind: type[Wire], fields: Fields, strays: list[tuple[Path, Any]]
) -> Fields:
    """The object without the fields that belong elsewhere, which are added to `strays`."""
    kept: Fields = {}
    for key, value in fields.items():
        name = spellings(kind).get(key)
        path = None if kind.reads(key) else _places(root).get(_proto_name(key))
        if path is not None:
            strays.append((path, value))
            continue
        inner = object_of(kind, attribute_of(kind, name)) if name else None
        if inner is not None and inner.GATHERS and isinstance(value, dict):
            value = _sifted(root, inner, value, strays)
        kept[key] = value
    return kept


def _place(root: type[Wire], fields: Fields, path: Path, value: Any, report: OnMismatch) -> None:
    """Set a field where it belongs, unless something stands there, or in its way."""
    where = ".".join(path)
    kind: type[Wire] = root
    for step in path[:-1]:
        inner = object_of(kind, attribute_of(kind, step))
        assert inner is not None, "paths go through objects"
        given = fields.get(step)
        if given is not None and not isinstance(given, dict):
            report(f"{where} is given in another place, and left out")
            return
        kind = inner
        fields[step] = fields = inner.respell(given or {}, strict=False)
    if path[-1] in fields:
        report(f"{where} is given in two places; its own counts")
        return
    fields[path[-1]] = value
    report(f"{where} is read from another place")
