"""Accounts: principals with scopes and quotas, API keys, and ephemeral tokens.

Secrets are stored as digests only. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Scope(Enum):
    """Permission of an API key."""

    LIVE = "live"
    """Live sessions."""
    TOKENS = "tokens"
    """Creating ephemeral tokens."""
    MODELS = "models"
    """Listing models."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one key; 0 is no limit.

    `sessions` at once, on all servers that share a store; `audio_minutes` in both directions and
    `tool_calls` per day (UTC); `messages_per_s` over all sessions of the key in one process.
    """

    sessions: int = 0
    audio_minutes: float = 0.0
    tool_calls: int = 0
    messages_per_s: float = 0.0


UNLIMITED = Quota()


@dataclass(frozen=True, slots=True)
class Principal:
    """Owner of sessions and quotas. `id` is empty if no key is required.

    Only the same principal may resume a session. An ephemeral token acts for the key that created
    it.
    """

    id: str = ""
    name: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    quota: Quota = field(default=UNLIMITED)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Stored API key. `digest` is the SHA-256 of the secret, in hexadecimal; `expires` 0 is never.

    `hint` is the beginning of the secret, to recognize it by.
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
    """Stored ephemeral token. `digest` as of a key; `owner` is the principal that created it.

    `uses` is how many sessions it may still begin, `None` any number. No session begins after
    `new_session_expires` or lasts beyond `expires`. `setup` is the JSON of the setup bound to it,
    or empty; `mask` are the locked paths in proto names, `None` without a mask.
    """

    digest: str
    owner: str
    uses: int | None
    expires: float
    new_session_expires: float
    setup: bytes = b""
    mask: tuple[str, ...] | None = None
