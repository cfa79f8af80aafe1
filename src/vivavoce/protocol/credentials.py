"""The five places where a client may put its credential, and which of them wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

TOKEN_PREFIX = "auth_tokens/"


class CredentialKind(Enum):
    """What a credential is, by its look and its place."""

    API_KEY = "api_key"
    EPHEMERAL_TOKEN = "ephemeral_token"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Credential:
    """What the client presents. `place` is for people; the value stays out of every repr."""

    kind: CredentialKind
    value: str = field(repr=False)
    place: str = ""


def find_credential(query: Mapping[str, str], headers: Mapping[str, str]) -> Credential | None:
    """The first credential in the order of precedence; header names in any case."""
    for place, kind, value in _candidates(query, {k.lower(): v for k, v in headers.items()}):
        if value:
            token = value.startswith(TOKEN_PREFIX)
            return Credential(CredentialKind.EPHEMERAL_TOKEN if token else kind, value, place)
    return None


def _candidates(
    query: Mapping[str, str], headers: Mapping[str, str]
) -> Iterator[tuple[str, CredentialKind, str]]:
    yield "query key", CredentialKind.API_KEY, query.get("key", "").strip()
    yield "query access_token", CredentialKind.OAUTH, query.get("access_token", "").strip()
    key = headers.get("x-goog-api-key", "").strip()
    yield "header x-goog-api-key", CredentialKind.API_KEY, key
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in ("token", "bearer"):
        token = scheme.lower() == "token"
        kind = CredentialKind.EPHEMERAL_TOKEN if token else CredentialKind.OAUTH
        yield f"header Authorization: {scheme.capitalize()}", kind, value.strip()
