"""Who is calling: the five places of a credential, and whether it is a key of ours."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from urllib.parse import parse_qs

from vivavoce.errors import ClientFault
from vivavoce.protocol import close

TOKEN_PREFIX = "auth_tokens/"


class Place(Enum):
    """Where a credential stood, in the order in which they are looked at."""

    QUERY_KEY = "query key"
    QUERY_TOKEN = "query access_token"
    HEADER_KEY = "header x-goog-api-key"
    HEADER_TOKEN = "header Authorization: Token"
    HEADER_BEARER = "header Authorization: Bearer"


@dataclass(frozen=True, slots=True)
class Credential:
    """What the caller showed, and where. Its `repr` keeps the secret."""

    place: Place
    secret: str

    @property
    def is_token(self) -> bool:
        """Whether it is an ephemeral token, wherever it stands."""
        return self.secret.startswith(TOKEN_PREFIX)

    def __repr__(self) -> str:
        return f"Credential({self.place.value}, …)"


def find_credential(query: str, headers: Mapping[str, str]) -> Credential | None:
    """The first credential of a request; `headers` have lower-case names."""
    fields = parse_qs(query, keep_blank_values=False)
    scheme, _, value = headers.get("authorization", "").partition(" ")
    candidates = (
        (Place.QUERY_KEY, fields.get("key", [""])[0]),
        (Place.QUERY_TOKEN, fields.get("access_token", [""])[0]),
        (Place.HEADER_KEY, headers.get("x-goog-api-key", "")),
        (Place.HEADER_TOKEN, value if scheme.lower() == "token" else ""),
        (Place.HEADER_BEARER, value if scheme.lower() == "bearer" else ""),
    )
    for place, secret in candidates:
        if secret.strip():
            return Credential(place, secret.strip())
    return None


class Keys:
    """The configured API keys, kept as digests. With none configured everybody is let in."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @property
    def open(self) -> bool:
        """Whether anybody may call."""
        return not self._digests

    def check(self, credential: Credential | None) -> None:
        """Raises `ClientFault` with the service's own code and sentence.

        Every key is compared, each in constant time, so that the time taken tells nothing.
        """
        if self.open:
            return
        if credential is None:
            raise ClientFault(close.POLICY, close.UNREGISTERED)
        given = _digest(credential.secret)
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if not any(matches):
            raise ClientFault(close.INVALID, close.BAD_KEY)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
