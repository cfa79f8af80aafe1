"""Recognize Live request paths, and find the credential in a request.

Clients build paths carelessly: doubled slashes come from every JavaScript client and from base
URLs that end in a slash, prefixes from base URLs with a path, an empty version from an empty
setting. All of that is ordinary traffic. A path comes from a client that was not admitted yet: it
is bounded before an expression sees it, and every expression takes time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

MAX_PATH = 2048
"""Characters of a path. The longest that a client has cause to send are far below."""

DEFAULT_VERSION = "v1beta"
LIVE = "BidiGenerateContent"
CONSTRAINED = "BidiGenerateContentConstrained"
MUSIC = "BidiGenerateMusic"

_VERSION = r"v[0-9][a-z0-9]{0,15}"
_PATH = re.compile(
    rf"""
    (?P<service>google\.ai\.generativelanguage
              | google\.cloud\.aiplatform
              | google\.firebase\.vertexai)
    \.(?P<version>{_VERSION})?
    \.(?P<interface>GenerativeService|LlmBidiService)
    [./](?P<method>BidiGenerateContentConstrained|BidiGenerateContent|BidiGenerateMusic)
    (?:/locations/[^/]+)?
    /?
    """,
    re.VERBOSE,
)
_IS_VERSION = re.compile(_VERSION)


@dataclass(frozen=True, slots=True)
class LivePath:
    """What a WebSocket path asks for.

    `enterprise` is the dialect of `google.cloud.aiplatform`; `method` is one of `LIVE`,
    `CONSTRAINED` (opened with an ephemeral token) and `MUSIC` (another protocol, not served).
    """

    service: str
    version: str
    method: str
    enterprise: bool

    @property
    def music(self) -> bool:
        """Whether another protocol is asked for."""
        return self.method == MUSIC


def collapse(path: str) -> str:
    """The path with every run of slashes made one."""
    return re.sub(r"/{2,}", "/", path)


def is_version(segment: str) -> bool:
    """Whether a segment of a path is a version of the API, such as `v1beta`."""
    return _IS_VERSION.fullmatch(segment) is not None


def names_interactions(path: str) -> bool:
    """Whether `path` belongs to Live Interactions, another protocol, which is not served."""
    return "interactions" in path.split("/")


def live_path(path: str) -> LivePath | None:
    """What `path` (without its query) asks for, or `None` if it isn't a Live path."""
    if len(path) > MAX_PATH:
        return None
    _, found, asked = collapse(path).rpartition("/ws/")
    match = _PATH.fullmatch(asked) if found else None
    if match is None:
        return None
    return LivePath(
        service=match["service"],
        version=match["version"] or DEFAULT_VERSION,
        method=match["method"],
        enterprise=match["interface"] == "LlmBidiService",
    )


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
