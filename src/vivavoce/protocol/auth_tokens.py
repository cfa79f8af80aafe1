"""Parse requests for ephemeral tokens, and apply a token's locked fields to a setup.

A path of a field mask names a field of `setup` by proto names, as deep as objects go: what is
repeated or free in form is locked as a whole. SDKs spell paths in camelCase, snake_case and both
at once, write an index for an element of a list (`tools.0`), and leave out `generationConfig`
before its fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, get_origin

import orjson

from vivavoce.domain.accounts import TokenRecord
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.base import (
    LENIENT,
    Int32,
    Reading,
    Timestamp,
    Wire,
    attribute_of,
    field_types,
    object_of,
    read_model,
    spellings,
)
from vivavoce.protocol.json_frames import (
    MessageLimits,
    check_depth,
    is_light,
    lift_base64,
    parse_frame,
)
from vivavoce.protocol.setup import GenerationConfig, Setup, session_setup

ROOT = "auth_token"
SETUP = f"{ROOT}.bidi_generate_content_setup"

LIFETIME_S = 30 * 60.0
NEW_SESSION_LIFETIME_S = 60.0
MAX_LIFETIME_S = 20 * 3600.0
"""Defaults: half an hour, with new sessions in its first minute; and the longest lifetime."""

_WRAPPERS = ("authToken", "auth_token")


class AuthToken(Wire):
    """Wire model of the token resource; the server assigns `name`."""

    name: str = ""
    uses: Int32 | None = None
    expire_time: Timestamp | None = None
    new_session_expire_time: Timestamp | None = None
    bidi_generate_content_setup: Any = None
    field_mask: str | None = None


def read_token_request(
    body: bytes, now: float, *, strict: bool, digest: str, owner: str
) -> TokenRecord:
    """Parse the body of a token request. Raises `ClientFault`.

    Unknown names are refused; those within the bound setup only when `strict`, as in a session.
    """
    if not is_light(body):
        lift_base64(body, MessageLimits())  # only to refuse one that holds too much
    payload = parse_frame(body) if body.strip() else {}
    check_depth(payload)
    for wrapper in _WRAPPERS:
        if payload.keys() == {wrapper} and isinstance(payload[wrapper], dict):
            payload = payload[wrapper]
    wire = read_model(AuthToken, payload, Reading(strict=True), ROOT)
    expires = _time(wire.expire_time, now + LIFETIME_S, now, "expire_time")
    opening = _time(
        wire.new_session_expire_time,
        min(now + NEW_SESSION_LIFETIME_S, expires),
        now,
        "new_session_expire_time",
    )
    uses = 1 if wire.uses is None else wire.uses
    if uses < 0:
        raise close.invalid_value(f"{ROOT}.uses", "TYPE_INT32", f"{uses}")
    setup = wire.bidi_generate_content_setup
    if setup is not None:
        _check(setup, strict=strict)
    return TokenRecord(
        digest,
        owner,
        uses=uses or None,
        expires=expires,
        new_session_expires=min(opening, expires),
        setup=b"" if setup is None else orjson.dumps(setup),
        mask=None if wire.field_mask is None else mask_paths(wire.field_mask),
    )


def read_bound_setup(setup: bytes) -> Setup | None:
    """Parse the setup that is bound to a token; it was validated when the token was created."""
    if not setup:
        return None
    return read_model(Setup, orjson.loads(setup), LENIENT)


def token_body(secret: str, token: TokenRecord) -> dict[str, Any]:
    """Build the response to a token request. Newer SDKs read more of it than `name`."""
    return {
        "name": secret,
        "expireTime": _rfc3339(token.expires),
        "newSessionExpireTime": _rfc3339(token.new_session_expires),
        "uses": token.uses or 0,
    }


def _check(setup: Any, *, strict: bool) -> None:
    """Validate the setup of a token; only its model may be absent. Raises `ClientFault`."""
    reading = Reading(strict)
    wire = read_model(Setup, setup, reading, SETUP)
    model = wire.model or "models/any"
    session_setup(wire.model_copy(update={"model": model}), reading)


def _time(given: datetime | None, default: float, now: float, name: str) -> float:
    if given is None:
        return default
    at = given.timestamp()
    if at <= now:
        raise close.invalid(f"{name} must be in the future")
    if at > now + MAX_LIFETIME_S:
        raise close.invalid(f"{name} is too far in the future. Maximum lifetime is 20h")
    return at


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- locked fields -------------------------------------------------------------------------------

W = TypeVar("W", bound=Wire)

MAX_PATHS = 200

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundToken:
    """Token that a client presents, with the setup that it locks."""

    record: TokenRecord

    def lock_setup(self, client: Setup) -> Setup:
        """Return the effective setup of a session with this token. Raises `ClientFault`."""
        bound = read_bound_setup(self.record.setup)
        return constrain_setup(client, bound, self.record.mask)

    def locks_field(self, name: str) -> bool:
        """Return whether part of this field of a setup, by its proto name, is locked."""
        mask = self.record.mask
        if mask is None:
            return bool(self.record.setup)
        return any(path.split(".", 1)[0] == name for path in mask)

    @property
    def replaces_setup(self) -> bool:
        """True if the token's setup replaces the client's entirely."""
        return bool(self.record.setup) and self.record.mask is None


def mask_paths(mask: str) -> tuple[str, ...]:
    """Parse the paths of a `fieldMask` to proto names, each once. Raises `ClientFault`.

    An empty mask has none, and is not the same as no mask.
    """
    words = [word.strip() for word in mask.split(",")]
    if len(words) > MAX_PATHS:
        raise invalid_mask()
    return tuple(dict.fromkeys(".".join(_path(word)) for word in words if word))


def invalid_mask() -> ClientFault:
    """Build the refusal of a mask that names an unknown field of the setup."""
    return close.invalid("field_mask is invalid")


def constrain_setup(client: Setup, bound: Setup | None, mask: tuple[str, ...] | None) -> Setup:
    """Merge a token's setup into a client's: locked fields are the token's.

    Without a mask the token's setup, if it has one, is all that counts, but for a model that it
    leaves open. With one, every masked field is the token's, also where it has none. A resumption
    handle is the client's in any case: it names a session.
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
    """Return the path in proto names, or `None` if there is no such field."""
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
    """Return whether a field is repeated or free-form, and so locked as a whole."""
    return any(
        choice is Any or get_origin(choice) in (list, dict) or choice is dict
        for choice in field_types(kind, attribute)
    )


def _overlaid(client: W, bound: W | None, path: Path) -> W:
    """Return the client's object with the field at `path` replaced by the token's."""
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
