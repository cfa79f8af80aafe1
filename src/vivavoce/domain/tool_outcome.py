"""What a tool that the server runs brings back, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Blob, CodeResult, FileRef, Json


class RetrievalStatus(Enum):
    """What became of an address that was to be read; the API's names without their prefix."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    PAYWALL = "PAYWALL"
    UNSAFE = "UNSAFE"


@dataclass(frozen=True, slots=True)
class Source:
    """Something found by a search, of which an answer may be made.

    `text` is the passage that was found, as the model gets to read it; `uri` leads to the whole
    of it, and is a `file:` address for a document of the user's own.
    """

    uri: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One address that was to be read. `text` is empty unless the status is SUCCESS."""

    url: str
    status: RetrievalStatus
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What one run of a server's tool gave.

    `response` is what the model gets to see. The rest is what the client is told about it:
    `queries` and `sources` become grounding, `pages` the statuses of addresses, `code` the
    result of running code. `failed` says in one sentence why there is nothing.
    """

    response: Json
    queries: Sequence[str] = ()
    sources: Sequence[Source] = ()
    pages: Sequence[Page] = ()
    code: CodeResult | None = None
    parts: tuple[Blob | FileRef, ...] = ()
    failed: str = ""
