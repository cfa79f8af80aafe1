"""What is kept in the store beside sessions: keys and ephemeral tokens. Secrets only as digests.

Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vivavoce.domain.principal import EVERYTHING, UNLIMITED, Quota, Scope


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
    scopes: frozenset[Scope] = EVERYTHING
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
