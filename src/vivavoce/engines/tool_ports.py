"""The ports of the tools that the server runs itself: what searches, and what runs code.

They are engines like any other: chosen by name in the configuration, built by a factory
`async def create(settings, host)`, replaceable by entry point (`search.NAME`, `sandbox.NAME`).
Their rules are those of `engines.ports`; failures that a user can meet are `ToolError`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from vivavoce.domain.content import CodeResult
from vivavoce.domain.tool_outcome import Source

MAX_URI_CHARS = 2000
_BAD = re.compile(r"[\s<>\"\\^`{|}\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search.

    `count` is how many sources are wanted at most. `excluded` are host names without a scheme;
    `after` and `before` (with a time zone) bound when a source was published. An engine that
    can't heed the last three ignores them.
    """

    text: str
    count: int = 5
    excluded: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None

    def excludes(self, host: str) -> bool:
        """Return whether the lower-case `host` is one of the excluded hosts, or under one."""
        names = (name.lower().strip(". ") for name in self.excluded)
        return any(name and (host == name or host.endswith("." + name)) for name in names)


class SearchEngine(Protocol):
    """Finds sources. Called from several conversations at once."""

    name: str
    """Its registry name without the port: `searxng`."""

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        """Return the sources that were found, best first. Raises `ToolError`."""
        ...

    async def aclose(self) -> None: ...


class Sandbox(Protocol):
    """Runs unreviewed Python where it can do no harm.

    No network, no files of the host, bounded time, memory and output, and never in the
    server's own process.
    """

    name: str
    """Its registry name without the port: `monty`."""

    abilities: str
    """What a model is told of it, in one or two sentences: which Python it is, which modules."""

    async def run(self, code: str) -> CodeResult:
        """Run `code`; what it printed, and how it ended.

        Code that fails is an ordinary outcome: OUTCOME_FAILED with the error at the end of the
        output, OUTCOME_DEADLINE_EXCEEDED for code that took too long. Raises `ToolError` only
        when the sandbox itself does not work. Cancelling the task ends the code.
        """
        ...

    async def aclose(self) -> None: ...


def citable_host(uri: str) -> str:
    """The lower-case host of an http address that may be cited; empty for any other text.

    Not citable are very long addresses, those with a user name, and those with white space,
    quotation marks or other characters that would end an address in running text.
    """
    if len(uri) > MAX_URI_CHARS or _BAD.search(uri):
        return ""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return ""
        return (parts.hostname or "").lower()
    except ValueError:
        return ""
