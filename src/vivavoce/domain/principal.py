"""Who is calling: a key of the operator's, or nobody in particular; and what each may do."""

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


EVERYTHING = frozenset(Scope)


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
    scopes: frozenset[Scope] = EVERYTHING
    quota: Quota = field(default=UNLIMITED)
