"""Request paths: which of them open a Live session, and in which dialect.

Clients build them carelessly: doubled slashes come from every JavaScript client and from base
URLs that end in a slash, prefixes from base URLs with a path, an empty version from an empty
setting. All of that is ordinary traffic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_VERSION = "v1beta"
LIVE = "BidiGenerateContent"
CONSTRAINED = "BidiGenerateContentConstrained"
MUSIC = "BidiGenerateMusic"

_PATH = re.compile(
    r"""
    .*/ws/
    (?P<service>google\.ai\.generativelanguage
              | google\.cloud\.aiplatform
              | google\.firebase\.vertexai)
    \.(?P<version>v[0-9]+[a-z0-9]*)?
    \.(?P<interface>GenerativeService|LlmBidiService)
    [./](?P<method>BidiGenerateContentConstrained|BidiGenerateContent|BidiGenerateMusic)
    (?:/locations/[^/]+)?
    /?
    """,
    re.VERBOSE,
)


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


def live_path(path: str) -> LivePath | None:
    """What `path` (without its query) asks for, or `None` if it isn't a Live path."""
    match = _PATH.fullmatch(collapse(path))
    if match is None:
        return None
    return LivePath(
        service=match["service"],
        version=match["version"] or DEFAULT_VERSION,
        method=match["method"],
        enterprise=match["interface"] == "LlmBidiService",
    )
