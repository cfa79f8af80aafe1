"""Interfaces of the state store, with the guarantees of atomicity that it gives.

Three adapters implement it: `memory` (one process, forgets with it), `sqlite` (one machine,
several processes) and `redis` (several machines). `testing.store_contract` says what each must do.

Rules for every adapter:

- A store sees no secret, only digests of what clients present.
- `now` and all times are seconds since the epoch, given by the caller.
- What is expired is absent, also before it is swept away.
- Every method raises `StoreError`, and nothing else, when the store cannot be reached or fails,
  within `STORE_TIMEOUT_S`; the next call tries again.
- Any number of calls may run at once, from any number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Protocol

from vivavoce.domain.accounts import KeyRecord, TokenRecord
from vivavoce.domain.ids import SessionId

STORE_TIMEOUT_S = 3.0
"""Time limit of a call, after which the store counts as unavailable."""

MAX_HANDLES = 4096
"""Valid handles of one session; beyond it the oldest are forgotten. A new one comes with
every turn: at ten seconds a turn this is the conversation of half a day."""

KEEP_EXPIRED_S = 3600.0
"""Time for which an expired token is kept, so that the answer is `EXPIRED`."""


@dataclass(frozen=True, slots=True)
class SavedSession:
    """Saved session, as loaded from the store.

    `owner` is the id of its principal and `model` the id of its model: both must be the same
    when it is resumed. `lease` is the number of the connection that holds it: the first is 1,
    and every resumption takes the next. `data` is the encoded checkpoint, and `media` what it
    refers to, by SHA-256 in hexadecimal.
    """

    session: SessionId
    owner: str
    model: str
    lease: int
    data: bytes
    media: Mapping[str, bytes] = field(default_factory=dict)


class Refusal(Enum):
    """Reason for the refusal of a session or token."""

    UNKNOWN = "unknown"
    """There is none, it is expired, or it belongs to another owner."""
    OTHER_MODEL = "other_model"
    EXPIRED = "expired"
    """A token whose time to begin sessions, or whose whole time, is over."""
    EXHAUSTED = "exhausted"
    """A token without uses left."""


class SessionStore(Protocol):
    """Port to the store of resumable sessions."""

    max_handles: int
    """Valid handles of one session, at most (`MAX_HANDLES`)."""

    async def save_session(
        self, saved: SavedSession, handle: str, now: float, expires: float
    ) -> bool:
        """Save a session under a new handle; its earlier handles stay valid.

        `handle` is a digest. Where it is the newest already, its state is replaced. The state of
        the handle before it stays as it is; of older ones only the name is kept, and no more than
        `max_handles` of them. False, and nothing is written, where a newer connection holds the
        session (the stored lease is greater than `saved.lease`).

        Media is written once for a session: what is stored under its digest already is neither
        sent nor written again, and what no valid handle's state refers to is dropped.
        """
        ...

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        """Load a handle's session and lease it to a new connection.

        Atomic: of any number of callers each gets another lease. The handle that was presented is
        the session's newest from then on; the others stay valid. `exact` gives the state that was
        saved with that very handle where it is kept, and otherwise the newest. `UNKNOWN` where
        there is none or another `owner`'s, `OTHER_MODEL`; neither changes anything.
        """
        ...

    async def renew_sessions(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        """Extend these sessions, held under these leases, until `expires`.

        Returns the present lease of each, also where it is greater than the caller's (then nothing
        is renewed); sessions that are not there are left out.
        """
        ...

    async def forget_session(self, session: SessionId, lease: int) -> None:
        """Delete a session and its handles, unless a newer connection holds it."""
        ...


class TokenStore(Protocol):
    """Port to the store of ephemeral tokens."""

    async def put_token(self, token: TokenRecord) -> None:
        """Save a token until `KEEP_EXPIRED_S` after it has expired."""
        ...

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        """Return a token, even one used up or expired, until `KEEP_EXPIRED_S` after its end."""
        ...

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        """Take one use of the token, atomically: of N uses exactly N claims succeed.

        `resuming` takes none, and ignores `new_session_expires` and uses. `UNKNOWN`,
        `EXPIRED` and `EXHAUSTED` take nothing.
        """
        ...


class KeyStore(Protocol):
    """Port to the store of API keys."""

    async def put_key(self, key: KeyRecord) -> bool:
        """Save a key, replacing one with the same id, atomically.

        False, and nothing is kept, where another key has its name.
        """
        ...

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        """List all keys, the oldest first, the expired among them."""
        ...

    async def drop_key(self, id: str) -> bool:
        """Delete a key; return whether there was one."""
        ...


class QuotaStore(Protocol):
    """Port to the store of quota usage, by principal."""

    async def acquire_slot(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        """Acquire one of `limit` slots of an owner until `expires` (0 is no limit), atomically.

        A holder that has one keeps it, with the new time. False if all are taken.
        """
        ...

    async def release_slot(self, owner: str, holder: str) -> None:
        """Release the slot."""
        ...

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        """Add to a counter and return its sum; an amount of 0 only reads it.

        A counter is gone after the `expires` of its first counting.
        """
        ...


class StateStore(SessionStore, TokenStore, KeyStore, QuotaStore, Protocol):
    """Port to the whole store: sessions, tokens, keys and quotas."""

    name: str
    """For display: `memory`, `sqlite` with its file, `redis` with its address, no password."""

    shared: bool
    """True if other processes see what this one writes."""

    async def start(self) -> None:
        """Connect to the store. Raises `ConfigError` for permanent faults, `StoreError`."""
        ...

    async def ping(self) -> None:
        """Check that the store can be read and written. Raises `StoreError`."""
        ...

    async def aclose(self) -> None: ...


def token_refusal(token: TokenRecord, now: float, resuming: bool) -> Refusal | None:
    """Return why a stored token is refused; `None` if it is valid."""
    if now >= token.expires or (not resuming and now >= token.new_session_expires):
        return Refusal.EXPIRED
    if not resuming and token.uses is not None and token.uses <= 0:
        return Refusal.EXHAUSTED
    return None


def digest_secret(secret: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal, the only form that is stored."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
