"""Accounts: principals with scopes and quotas, API keys, and ephemeral tokens.

Secrets are kept as digests only. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Scope(Enum):
    """What a key opens. A key without any would open nothing."""

    LIVE = "live"
    """Live sessions."""
    TOKENS = "tokens"
    """Creating ephemeral tokens."""
    MODELS = "models"
    """Listing models."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one key may take; 0 is no limit.

    `sessions` at once, on all servers that share a store; `audio_minutes` of sound heard and
    spoken, and `tool_calls`, in one day of UTC; `messages_per_s` from the client, over all of
    the key's sessions in one process.
    """

    sessions: int = 0
    audio_minutes: float = 0.0
    tool_calls: int = 0
    messages_per_s: float = 0.0


UNLIMITED = Quota()


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose account something is done. `id` is empty where no key is asked for.

    Sessions belong to a principal: only the same one may resume them. An ephemeral token acts
    for the key that created it.
    """

    id: str = ""
    name: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    quota: Quota = field(default=UNLIMITED)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key. `digest` is the SHA-256 of the secret, in hexadecimal; `expires` 0 is never.

    `hint` is the beginning of the secret, by which a person recognizes it.
    """

    id: str
    name: str
    digest: str
    hint: str
    created: float
    expires: float = 0.0
    scopes: frozenset[Scope] = ALL_SCOPES
    quota: Quota = field(default=UNLIMITED)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An ephemeral token. `digest` as of a key; `owner` is the principal that created it.

    `uses` is how many sessions it may still begin; `None` is any number. `expires` ends every
    session that it began; after `new_session_expires` none begins. `setup` is the JSON of the
    setup that is bound to it, empty if none is; `mask` are the locked paths in proto names, or
    `None` where no mask was given.
    """

    digest: str
    owner: str
    uses: int | None
    expires: float
    new_session_expires: float
    setup: bytes = b""
    mask: tuple[str, ...] | None = None
