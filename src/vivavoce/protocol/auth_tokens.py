"""The request that makes an ephemeral token, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from vivavoce.domain.accounts import TokenRecord
from vivavoce.protocol import close
from vivavoce.protocol.constraints import mask_paths
from vivavoce.protocol.json_frames import check_depth, parse_frame
from vivavoce.protocol.message_size import MessageLimits, check_size, is_light
from vivavoce.protocol.setup import session_setup
from vivavoce.protocol.values import Int32, Timestamp
from vivavoce.protocol.wire import OnUnknown, read_as
from vivavoce.protocol.wire_base import Wire
from vivavoce.protocol.wire_setup import Setup

ROOT = "auth_token"
SETUP = f"{ROOT}.bidi_generate_content_setup"

LIFETIME_S = 30 * 60.0
OPENING_S = 60.0
LONGEST_S = 20 * 3600.0
"""Half an hour, in whose first minute sessions begin; and the longest that may be asked for."""

_WRAPPERS = ("authToken", "auth_token")


class AuthToken(Wire):
    """The resource as clients write it. `name` is the server's to give."""

    name: str = ""
    uses: Int32 | None = None
    expire_time: Timestamp | None = None
    new_session_expire_time: Timestamp | None = None
    bidi_generate_content_setup: Any = None
    field_mask: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for. Times are seconds since the epoch; `uses` of `None` is any number."""

    uses: int | None
    expires: float
    new_session_expires: float
    setup: bytes
    mask: tuple[str, ...] | None

    def record(self, digest: str, owner: str) -> TokenRecord:
        """The token that is kept of it."""
        return TokenRecord(
            digest, owner, self.uses, self.expires, self.new_session_expires, self.setup, self.mask
        )


def read_token_request(body: bytes, now: float, *, strict: bool) -> TokenRequest:
    """The token that a request's body asks for. Raises `ClientFault`, whose code is of no use here.

    Unknown names are refused; those within the bound setup only when `strict`, as in a session.
    """
    if not is_light(body):
        check_size(body, MessageLimits())
    payload = parse_frame(body) if body.strip() else {}
    check_depth(payload)
    for wrapper in _WRAPPERS:
        if payload.keys() == {wrapper} and isinstance(payload[wrapper], dict):
            payload = payload[wrapper]
    wire = read_as(AuthToken, payload, strict=True, on_unknown=_ignore_unknown, root=ROOT)
    expires = _time(wire.expire_time, now + LIFETIME_S, now, "expire_time")
    opening = _time(
        wire.new_session_expire_time, min(now + OPENING_S, expires), now, "new_session_expire_time"
    )
    uses = 1 if wire.uses is None else wire.uses
    if uses < 0:
        raise close.invalid_value(f"{ROOT}.uses", "TYPE_INT32", f"{uses}")
    setup = wire.bidi_generate_content_setup
    if setup is not None:
        _check(setup, strict=strict)
    return TokenRequest(
        uses=uses or None,
        expires=expires,
        new_session_expires=min(opening, expires),
        setup=b"" if setup is None else orjson.dumps(setup),
        mask=None if wire.field_mask is None else mask_paths(wire.field_mask),
    )


def read_bound_setup(setup: bytes, on_unknown: OnUnknown) -> Setup | None:
    """The setup that a token holds, checked when it was made."""
    if not setup:
        return None
    return read_as(Setup, orjson.loads(setup), strict=False, on_unknown=on_unknown)


def token_body(secret: str, token: TokenRecord) -> dict[str, Any]:
    """The answer. Only `name` is certain at the real service; newer SDKs read the rest, too."""
    return {
        "name": secret,
        "expireTime": _rfc3339(token.expires),
        "newSessionExpireTime": _rfc3339(token.new_session_expires),
        "uses": token.uses or 0,
    }


def _check(setup: Any, *, strict: bool) -> None:
    """Raise for a setup that no session could begin with; only its model may be left open."""
    wire = read_as(Setup, setup, strict=strict, on_unknown=_ignore_unknown, root=SETUP)
    model = wire.model or "models/any"
    session_setup(
        wire.model_copy(update={"model": model}),
        strict=strict,
        enterprise=False,
        report=_ignore_unknown,
    )


def _time(given: datetime | None, default: float, now: float, name: str) -> float:
    if given is None:
        return default
    at = given.timestamp()
    if at <= now:
        raise close.invalid(f"{name} must be in the future")
    if at > now + LONGEST_S:
        raise close.invalid(f"{name} is too far in the future. Maximum lifetime is 20h")
    return at


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ignore_unknown(path: str, name: str) -> None:
    """Nobody wants to hear of it."""
