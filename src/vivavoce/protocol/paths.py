"""Recognize Live request paths, and find the credential in a request.

Clients build paths carelessly: doubled slashes come from every JavaScript client and from base
URLs that end in a slash, prefixes from base URLs with a path, an empty version from an empty
setting. All of that is ordinary traffic. A path comes from a client that was not admitted yet: it
is bounded before an expression sees it, and every expression takes time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_PATH = 2048
"""Characters of a path, at most; any that is served is far shorter."""

DEFAULT_VERSION = "v1beta"
LIVE = "BidiGenerateContent"
CONSTRAINED = "BidiGenerateContentConstrained"
MUSIC = "BidiGenerateMusic"

_VERSION = r"v[0-9][a-z0-9]{0,15}"
_PATH = re.compile(
    rf"""
    (?:google\.ai\.generativelanguage
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
    """Parsed path of a Live WebSocket: version, method and dialect.

    `enterprise` is the dialect of `google.cloud.aiplatform`; `method` is one of `LIVE`,
    `CONSTRAINED` (opened with an ephemeral token) and `MUSIC` (another protocol, not served).
    """

    version: str
    method: str
    enterprise: bool

    @property
    def music(self) -> bool:
        """True for the music protocol, which is not served."""
        return self.method == MUSIC


def collapse_slashes(path: str) -> str:
    """Collapse every run of slashes to one."""
    return re.sub(r"/{2,}", "/", path)


def is_version(segment: str) -> bool:
    """Return whether a segment of a path is a version of the API, such as `v1beta`."""
    return _IS_VERSION.fullmatch(segment) is not None


def names_interactions(path: str) -> bool:
    """Return whether `path` belongs to Live Interactions, a protocol that is not served."""
    return "interactions" in path.split("/")


def parse_live_path(path: str) -> LivePath | None:
    """Parse `path` (without its query); `None` if it isn't a Live path."""
    if len(path) > MAX_PATH:
        return None
    _, found, asked = collapse_slashes(path).rpartition("/ws/")
    match = _PATH.fullmatch(asked) if found else None
    if match is None:
        return None
    return LivePath(
        version=match["version"] or DEFAULT_VERSION,
        method=match["method"],
        enterprise=match["interface"] == "LlmBidiService",
    )


# --- credentials ---------------------------------------------------------------------------------

TOKEN_PREFIX = "auth_tokens/"


@dataclass(frozen=True, slots=True)
class Credential:
    """API key or token that a client presents; its secret is in no repr."""

    value: str = field(repr=False)

    @property
    def is_token(self) -> bool:
        """True for an ephemeral token, wherever it was presented."""
        return self.value.startswith(TOKEN_PREFIX)


def find_credential(query: Mapping[str, str], headers: Mapping[str, str]) -> Credential | None:
    """Find the first credential in the order of precedence; header names in any case."""
    headers = {name.lower(): value for name, value in headers.items()}
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    candidates = (
        query.get("key", ""),
        query.get("access_token", ""),
        headers.get("x-goog-api-key", ""),
        value if scheme.lower() in ("token", "bearer") else "",
    )
    found = next((each.strip() for each in candidates if each.strip()), None)
    return None if found is None else Credential(found)
