"""What an ephemeral token holds fast of its sessions' setups: field masks, and their effect.

A path names a field of `setup` by proto names, as deep as objects go: what is repeated or free in
form is held as a whole. SDKs spell paths in camelCase, snake_case and both at once, write an index
for an element of a list (`tools.0`), and leave out `generationConfig` before its fields.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.wire_base import Wire, attribute_of, choices, object_of, spellings
from vivavoce.protocol.wire_setup import GenerationConfig, Setup

W = TypeVar("W", bound=Wire)

MAX_PATHS = 200

Path = tuple[str, ...]


def mask_paths(mask: str) -> tuple[str, ...]:
    """The paths of a `fieldMask`, in proto names, each once. Raises `ClientFault`.

    An empty mask has none; that is another thing than no mask.
    """
    words = [word.strip() for word in mask.split(",")]
    if len(words) > MAX_PATHS:
        raise invalid_mask()
    return tuple(dict.fromkeys(".".join(_path(word)) for word in words if word))


def invalid_mask() -> ClientFault:
    """A mask that names what a setup does not have."""
    return close.invalid("field_mask is invalid")


def constrain_setup(client: Setup, bound: Setup | None, mask: tuple[str, ...] | None) -> Setup:
    """The setup of a session: the client's, with what the token holds fast.

    Without a mask the token's setup, if it has one, is all that counts, but for a model that it
    leaves open. With one, every masked field is the token's, also where it has none. A resumption
    handle is the client's in any case: it names a session, and is no wish about it.
    """
    if mask is None:
        if bound is None:
            return client
        bound = bound.model_copy(update={"model": bound.model or client.model})
        return _with_handle(bound, client)
    effective = client
    for path in mask:
        effective = _overlaid(effective, bound, tuple(path.split(".")))
    return _with_handle(effective, client)


def _path(word: str) -> Path:
    segments = word.split(".")
    path = _walked(Setup, segments)
    if path is None:
        path = _walked(GenerationConfig, segments)
        if path is None:
            raise invalid_mask()
        return ("generation_config", *path)
    return path


def _walked(kind: type[Wire], segments: list[str]) -> Path | None:
    """The path by its proto names; `None` if there is no such field."""
    path: list[str] = []
    inside: type[Wire] | None = kind
    for at, segment in enumerate(segments):
        name = spellings(inside).get(segment) if inside is not None else None
        if inside is None or name is None:
            return None
        path.append(name)
        field = attribute_of(inside, name)
        if _held_whole(inside, field):
            return tuple(path) if all(segments[at:]) else None
        inside = object_of(inside, field)
    return tuple(path)


def _held_whole(kind: type[Wire], attribute: str) -> bool:
    """Whether a field is repeated or free in form."""
    return any(
        choice is Any or get_origin(choice) in (list, dict) or choice is dict
        for choice in choices(kind, attribute)
    )


def _overlaid(client: W, bound: W | None, path: Path) -> W:
    """The client's object with the field at `path` as it is in the token's."""
    kind = type(client)
    attribute = attribute_of(kind, path[0])
    theirs = None if bound is None else getattr(bound, attribute)
    value: Any = kind.model_fields[attribute].get_default(call_default_factory=True)
    if len(path) == 1:
        given = bound is not None and attribute in bound.model_fields_set
        value = theirs if given else value
    else:
        inner = object_of(kind, attribute)
        assert inner is not None, "paths go on only into objects"
        mine = getattr(client, attribute)
        if mine is not None or theirs is not None:
            value = _overlaid(mine or inner.model_construct(), theirs, path[1:])
        given = value is not None
    copy = client.model_copy(update={attribute: value})
    if not given:
        copy.model_fields_set.discard(attribute)
    return copy


def _with_handle(effective: Setup, client: Setup) -> Setup:
    wanted, presented = effective.session_resumption, client.session_resumption
    handle = presented.handle if presented else ""
    if wanted is None or wanted.handle == handle:
        return effective
    return effective.model_copy(
        update={"session_resumption": wanted.model_copy(update={"handle": handle})}
    )
