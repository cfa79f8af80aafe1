"""What services answer, made fit to be cited: real addresses, plain words, no more than wanted.

Rules. A result without an http address is none. Markup is taken out of titles and snippets, since
they are read aloud. A result from an excluded host is left out, whatever the service was told. A
result that says when it was published is left out if that lies outside the range; one that does
not say is kept, because most pages don't.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vivavoce.domain.evidence import Source
from vivavoce.engines.tool_ports import SearchQuery, citable_host

MAX_COUNT = 20
MAX_TEXT_CHARS = 1500
MAX_TITLE_CHARS = 200
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,1000}>")


@dataclass(frozen=True, slots=True)
class Hit:
    """One result as a service gave it: whatever stood in its fields."""

    link: object
    title: object
    snippet: object
    published: object = None


def sources(hits: Iterable[Hit], query: SearchQuery) -> list[Source]:
    """The results that can be used, in the service's order, `query.count` of them at most."""
    found: dict[str, Source] = {}
    for hit in hits:
        if len(found) >= min(query.count, MAX_COUNT):
            break
        uri = hit.link if isinstance(hit.link, str) else ""
        host = citable_host(uri)
        if not host or uri in found or query.excludes(host) or _untimely(hit, query):
            continue
        title = plain(hit.title, MAX_TITLE_CHARS)
        text = plain(hit.snippet, MAX_TEXT_CHARS) or title
        if text:
            found[uri] = Source(uri=uri, title=title or host, text=text)
    return list(found.values())


def plain(value: object, limit: int) -> str:
    """`value` as one line of words without markup."""
    if not isinstance(value, str):
        return ""
    # Markup may itself have been escaped, so it is looked for before and after.
    words = _TAG.sub(" ", html.unescape(_TAG.sub(" ", value[: 4 * limit])))
    return re.sub(r" (?=[.,;:!?])", "", line_of(words, limit))


def line_of(text: str, limit: int) -> str:
    """`text` as one line without control codes; if it is too long, cut between two words."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[:limit].rpartition(" ")[0] or line[:limit]


def published(value: object) -> datetime | None:
    """When a result says that it was published: ISO 8601, or a date as in mail."""
    if not isinstance(value, str):
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(value.strip())
        except (ValueError, IndexError, TypeError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


def _untimely(hit: Hit, query: SearchQuery) -> bool:
    when = published(hit.published)
    if when is None:
        return False
    return bool((query.after and when < query.after) or (query.before and when > query.before))
